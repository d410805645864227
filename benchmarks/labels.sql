-- The written rules of labelling (jobs/labels, tests/jobs/labels/oracle.py) for DuckDB, independent of the Spark job.
-- Times are microseconds. Variables: requests, events (lists of files), click_window, order_window (microseconds),
-- below (positions below the deepest click that count as examined), own_rankings (sort orders, none included).
WITH requests AS MATERIALIZED (  -- one row per query id; each field from the earliest document that has it
    SELECT
        query_id, min(epoch_us(ts)) AS asked, arg_min(event_date, ts) AS event_date,
        coalesce('u:' || arg_min(user_key, ts) FILTER (user_key <> ''), 'c:' || arg_min(client_id, ts) FILTER (client_id <> ''),
                 's:' || arg_min(session_id, ts) FILTER (session_id <> '')) AS who,
        arg_min(session_id, ts) FILTER (session_id <> '') AS session_id,
        coalesce(arg_min(hit_ids, struct_pack(ts, shorter := -len(hit_ids))) FILTER (len(hit_ids) > 0), []) AS hits,
        coalesce((arg_min(page, ts) - 1) * coalesce(arg_min(page_size, ts),
                 len(hits)), 0) AS skipped,
        lower(coalesce(arg_min(sort, ts) FILTER (sort <> ''), '')) NOT IN (SELECT unnest(getvariable('own_rankings')))
            OR arg_min(filters, ts) FILTER (len(filters) > 0) IS NOT NULL AS user_refined
    FROM read_parquet(getvariable('requests')) GROUP BY query_id
),
acts AS MATERIALIZED (  -- each event once: its earliest copy
    SELECT event_id, unnest(arg_min(struct_pack(
        us := epoch_us(ts), action, object_id, query_id, session_id, position, order_id,
        who := coalesce('u:' || user_key, 'c:' || client_id, 's:' || session_id)), ts))
    FROM read_parquet(getvariable('events'))
    WHERE action IN ('click', 'add_to_cart', 'purchase', 'remove_from_cart', 'refund') GROUP BY event_id
),
counted AS (  -- without further events of an order that counts already
    SELECT * FROM acts WHERE action IN ('click', 'add_to_cart', 'purchase') QUALIFY
        action <> 'purchase' OR order_id IS NULL OR row_number() OVER (PARTITION BY action, order_id, object_id ORDER BY us, event_id) = 1
),
named AS MATERIALIZED (
    SELECT c.*, r.query_id AS own, r.asked FROM counted c LEFT JOIN requests r
        ON r.query_id = c.query_id AND c.us BETWEEN r.asked AND r.asked + getvariable('order_window')
),
lost AS (SELECT * FROM named WHERE action = 'click' AND own IS NULL AND who IS NOT NULL AND session_id IS NOT NULL),
listed AS (
    SELECT who, session_id, object_id, asked, max(query_id) AS query_id FROM (
        SELECT who, session_id, unnest(hits) AS object_id, asked, query_id FROM requests
        WHERE (who, session_id) IN (SELECT (who, session_id) FROM lost)
    ) GROUP BY ALL
),
touched AS (
    SELECT l.event_id, s.query_id AS own, s.asked FROM lost l ASOF JOIN listed s
        ON l.who = s.who AND l.session_id = s.session_id AND l.object_id = s.object_id AND l.us >= s.asked
    WHERE l.us - s.asked <= getvariable('click_window')
),
clicks AS MATERIALIZED (
    SELECT event_id, who, object_id, us, position, own AS query_id, asked, 'own_query' AS rule FROM named WHERE action = 'click' AND own IS NOT NULL
    UNION ALL
    SELECT n.event_id, n.who, n.object_id, n.us, n.position, t.own, t.asked, 'session_last_touch' FROM touched t JOIN named n USING (event_id)
),
last_clicks AS MATERIALIZED (
    SELECT who, object_id, us, unnest(max(struct_pack(query_id, asked))) FROM clicks WHERE who IS NOT NULL GROUP BY who, object_id, us
),
own_carts AS (SELECT * FROM named WHERE action = 'add_to_cart' AND own IS NOT NULL),
last_own_carts AS (
    SELECT who, object_id, us, unnest(max(struct_pack(query_id := own, asked))) FROM own_carts WHERE who IS NOT NULL GROUP BY who, object_id, us
),
removals AS MATERIALIZED (SELECT DISTINCT who, object_id, us FROM acts WHERE action = 'remove_from_cart' AND who IS NOT NULL),
open_carts AS (
    SELECT n.event_id, n.who, n.object_id, n.us, n.position,
        CASE WHEN n.us - c.asked <= getvariable('order_window') AND coalesce(m.us < c.us, true) THEN struct_pack(query_id := c.query_id, asked := c.asked, rule := 'last_cart')
             WHEN n.us - k.asked <= getvariable('order_window') THEN struct_pack(query_id := k.query_id, asked := k.asked, rule := 'last_clicked_query') END AS found
    FROM (SELECT * FROM named WHERE action = 'add_to_cart' AND own IS NULL) n
    ASOF LEFT JOIN last_own_carts c ON n.who = c.who AND n.object_id = c.object_id AND n.us >= c.us
    ASOF LEFT JOIN removals m ON n.who = m.who AND n.object_id = m.object_id AND n.us >= m.us
    ASOF LEFT JOIN last_clicks k ON n.who = k.who AND n.object_id = k.object_id AND n.us >= k.us
),
carts AS MATERIALIZED (
    SELECT event_id, who, object_id, us, position, own AS query_id, asked, 'own_query' AS rule FROM own_carts
    UNION ALL
    SELECT event_id, who, object_id, us, position, found.query_id, found.asked, found.rule FROM open_carts WHERE found IS NOT NULL
),
last_carts AS (
    SELECT who, object_id, us, unnest(max(struct_pack(query_id, asked))) FROM carts WHERE who IS NOT NULL GROUP BY who, object_id, us
),
open_orders AS (
    SELECT n.*, CASE
        WHEN n.us - c.asked <= getvariable('order_window') AND coalesce(m.us < c.us, true) THEN struct_pack(query_id := c.query_id, asked := c.asked, rule := 'last_cart')
        WHEN n.us - k.asked <= getvariable('order_window') THEN struct_pack(query_id := k.query_id, asked := k.asked, rule := 'last_clicked_query') END AS found
    FROM (SELECT * FROM named WHERE action = 'purchase' AND own IS NULL) n
    ASOF LEFT JOIN last_carts c ON n.who = c.who AND n.object_id = c.object_id AND n.us >= c.us
    ASOF LEFT JOIN removals m ON n.who = m.who AND n.object_id = m.object_id AND n.us >= m.us
    ASOF LEFT JOIN last_clicks k ON n.who = k.who AND n.object_id = k.object_id AND n.us >= k.us
),
orders AS (
    SELECT event_id, who, object_id, us, position, order_id, own AS query_id, asked, 'own_query' AS rule FROM named WHERE action = 'purchase' AND own IS NOT NULL
    UNION ALL
    SELECT event_id, who, object_id, us, position, order_id, found.query_id, found.asked, found.rule FROM open_orders WHERE found IS NOT NULL
),
refunds AS MATERIALIZED (SELECT DISTINCT who, order_id, object_id, us FROM acts WHERE action = 'refund'),
attributed AS MATERIALIZED (
    SELECT query_id, object_id, 'click' AS action, us, position, rule, NULL::BIGINT AS undone_at FROM clicks
    UNION ALL
    SELECT c.query_id, c.object_id, 'cart', c.us, c.position, c.rule, CASE WHEN m.us - c.asked <= getvariable('order_window') THEN m.us END
    FROM carts c ASOF LEFT JOIN removals m ON c.who = m.who AND c.object_id = m.object_id AND c.us <= m.us
    UNION ALL
    SELECT o.query_id, o.object_id, 'order', o.us, o.position, o.rule, CASE WHEN m.us - o.asked <= getvariable('order_window') THEN m.us END
    FROM (SELECT * FROM orders WHERE order_id IS NOT NULL) o
    ASOF LEFT JOIN (SELECT DISTINCT order_id, object_id, us FROM refunds WHERE order_id IS NOT NULL) m
        ON o.order_id = m.order_id AND o.object_id = m.object_id AND o.us <= m.us
    UNION ALL
    SELECT o.query_id, o.object_id, 'order', o.us, o.position, o.rule, CASE WHEN m.us - o.asked <= getvariable('order_window') THEN m.us END
    FROM (SELECT * FROM orders WHERE order_id IS NULL) o
    ASOF LEFT JOIN (SELECT DISTINCT who, object_id, us FROM refunds WHERE order_id IS NULL AND who IS NOT NULL) m
        ON o.who = m.who AND o.object_id = m.object_id AND o.us <= m.us
),
acted AS MATERIALIZED (
    SELECT query_id, object_id,
        min(struct_pack(us, rule)) AS first,
        min(struct_pack(us, rule)) FILTER (action = 'click') AS clicked,
        min(struct_pack(us, rule)) FILTER (action = 'cart' AND undone_at IS NULL) AS carted,
        min(struct_pack(us, rule)) FILTER (action = 'order' AND undone_at IS NULL) AS ordered,
        coalesce(flatten(list_sort(list([us, undone_at]) FILTER (action = 'cart' AND undone_at IS NOT NULL))), []) AS undone_carts,
        coalesce(flatten(list_sort(list([us, undone_at]) FILTER (action = 'order' AND undone_at IS NOT NULL))), []) AS undone_orders,
        min(position) AS position,
        min(struct_pack(us, position)) FILTER (action = 'click' AND position IS NOT NULL) AS placed
    FROM attributed GROUP BY query_id, object_id
),
seen AS (
    SELECT e.query_id, e.object_id, min(epoch_us(e.ts)) AS us, min(e.position) AS position
    FROM read_parquet(getvariable('events')) e JOIN requests r ON e.query_id = r.query_id
    WHERE e.action = 'impression' AND epoch_us(e.ts) - r.asked BETWEEN 0 AND getvariable('order_window') GROUP BY ALL
),
ranked AS (
    SELECT query_id, object_id, min(rank) AS rank
    FROM (SELECT query_id, unnest(hits) AS object_id, generate_subscripts(hits, 1) AS rank FROM requests) GROUP BY query_id, object_id
),
deep AS (  -- where the clicks of a request lie: its list knows best, else the click that says so
    SELECT query_id, list(struct_pack(us, place)) AS clicks FROM (
        SELECT a.query_id,
            CASE WHEN list_contains(r.hits, a.object_id) THEN a.clicked.us ELSE a.placed.us END AS us,
            CASE WHEN list_contains(r.hits, a.object_id) THEN list_position(r.hits, a.object_id) + r.skipped ELSE a.placed.position END AS place
        FROM acted a JOIN requests r USING (query_id) WHERE a.clicked IS NOT NULL
    ) WHERE place IS NOT NULL GROUP BY query_id
),
shown AS (
    SELECT query_id, object_id, k.rank, s.us AS seen_at, s.position AS seen_position, a.*
    FROM ranked k FULL JOIN seen s USING (query_id, object_id) FULL JOIN acted a USING (query_id, object_id)
),
judged AS (
    SELECT s.*, r.asked, r.user_refined, r.event_date,
        coalesce(s.rank + r.skipped, least(s.position, s.seen_position))::INT AS place,
        least(s.seen_at, s.first.us, CASE WHEN s.rank IS NOT NULL THEN
            list_min([c.us FOR c IN d.clicks IF c.place >= s.rank + r.skipped - getvariable('below')]) END) AS examined_at
    FROM shown s JOIN requests r USING (query_id) LEFT JOIN deep d USING (query_id)
)
SELECT
    query_id, object_id, make_timestamp(asked) AS request_ts,
    CASE WHEN ordered IS NOT NULL THEN 'ordered' WHEN first IS NOT NULL THEN 'clicked'
         WHEN examined_at IS NOT NULL AND NOT user_refined THEN 'unclicked' END AS stage,
    place AS position, examined_at IS NOT NULL AS examined, seen_at IS NULL AS implied, user_refined,
    coalesce(ordered.rule, carted.rule, clicked.rule, first.rule) AS attribution_rule,
    make_timestamp(examined_at) AS examined_ts, make_timestamp(clicked.us) AS clicked_ts, make_timestamp(carted.us) AS carted_ts,
    make_timestamp(ordered.us) AS ordered_ts,
    list_transform(coalesce(undone_carts, []), lambda t: make_timestamp(t)) AS undone_carts,
    list_transform(coalesce(undone_orders, []), lambda t: make_timestamp(t)) AS undone_orders, event_date
FROM judged
