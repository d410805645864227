-- The written rules of build_tuples (jobs/tuples) for DuckDB, independent of the Spark job: tables that
-- `tuples_reference.py` spells out and packs. Times are microseconds. Variables: items, requests, impressions (lists of
-- files), start, cut, validation, test, stop (bounds of the splits), unclicked, clicked, ordered (slots of each stage),
-- per_query, known, entries, uniform_share, alpha. Draws are DuckDB's hash: other rows are picked than Spark picks, as many.
CREATE TEMP TABLE requests AS
WITH asked AS (  -- one row per query id; each field from the earliest document that has it
    SELECT query_id, min(epoch_us(ts)) AS ts, arg_min(query_norm, ts) FILTER (query_norm <> '') AS query_norm,
        coalesce(arg_min(session_id, ts) FILTER (session_id <> ''), 'query ' || query_id) AS session
    FROM read_parquet(getvariable('requests')) GROUP BY query_id
),
dated AS (
    SELECT *, CASE WHEN ts >= getvariable('start') AND ts < getvariable('cut') THEN 'train'
        WHEN ts >= getvariable('validation') AND ts < getvariable('test') THEN 'validation'
        WHEN ts >= getvariable('test') AND ts < getvariable('stop') THEN 'test' END AS split
    FROM asked WHERE query_norm IS NOT NULL
)
SELECT * REPLACE (CASE WHEN split = first_value(split) OVER (PARTITION BY session ORDER BY ts) THEN split END AS split)
FROM dated WHERE split IS NOT NULL;

CREATE TEMP TABLE candidates AS
WITH shown AS (
    SELECT r.query_id, r.ts, r.query_norm, r.split, i.object_id, NOT i.user_refined AS plain,
        epoch_us(i.examined_ts) AS examined, epoch_us(i.clicked_ts) AS clicked, epoch_us(i.carted_ts) AS carted,
        epoch_us(i.ordered_ts) AS ordered, list_transform(i.undone_carts, lambda t: epoch_us(t)) AS carts,
        list_transform(i.undone_orders, lambda t: epoch_us(t)) AS orders,
        CASE r.split WHEN 'train' THEN getvariable('cut') WHEN 'validation' THEN getvariable('test')
            ELSE 9223372036854775807 END AS known_until
    FROM read_parquet(getvariable('impressions')) i JOIN requests r ON r.query_id = i.query_id AND r.split IS NOT NULL
    WHERE i.examined OR i.clicked_ts IS NOT NULL OR i.carted_ts IS NOT NULL OR i.ordered_ts IS NOT NULL
        OR len(i.undone_carts) > 0 OR len(i.undone_orders) > 0
),
ordered_by AS (  -- an order counts from its time on; one that is refunded later still stood at the cut
    SELECT *, least(CASE WHEN ordered < known_until THEN ordered END, list_min([orders[n] FOR n IN range(1, len(orders), 2)
        IF orders[n] < known_until AND orders[n + 1] >= known_until])) AS bought FROM shown
),
chosen_by AS (
    SELECT *, least(CASE WHEN clicked < known_until THEN clicked END, CASE WHEN carts[1] < known_until THEN carts[1] END,
        CASE WHEN orders[1] < known_until THEN orders[1] END, CASE WHEN carted < known_until THEN carted END,
        list_min([carts[n] FOR n IN range(1, len(carts), 2) IF carts[n] < known_until AND carts[n + 1] >= known_until]),
        bought) AS chosen FROM ordered_by
),
staged AS (
    SELECT query_id, ts, query_norm, split, object_id,
        least(CASE WHEN plain AND examined < known_until THEN examined END, chosen) AS looked, chosen, bought FROM chosen_by
),
judged AS (
    SELECT s.query_id, s.ts, s.query_norm, s.split, s.object_id, i.dense_id, coalesce(bought, chosen, looked) AS last_event,
        CASE WHEN bought IS NOT NULL THEN 'ordered' WHEN chosen IS NOT NULL THEN 'clicked' ELSE 'unclicked' END AS stage,
        CASE WHEN i.dense_id IS NULL THEN 'unknown_item' WHEN epoch_us(i.valid_from) > s.ts THEN 'future_item' END AS loss
    FROM staged s LEFT JOIN read_parquet(getvariable('items')) i ON i.object_id = s.object_id WHERE looked IS NOT NULL
),
ranked AS (
    SELECT *, stage <> 'unclicked' AS positive, row_number() OVER (
        PARTITION BY query_id, stage ORDER BY loss IS NOT NULL, hash(query_id, object_id), object_id) - 1 AS place FROM judged
),
slotted AS (
    SELECT * EXCLUDE (place), CASE WHEN loss IS NOT NULL THEN NULL
        WHEN stage = 'unclicked' AND place < getvariable('unclicked') THEN place
        WHEN stage = 'clicked' AND place < getvariable('clicked') THEN getvariable('unclicked') + place
        WHEN stage = 'ordered' AND place < getvariable('ordered') THEN getvariable('unclicked') + getvariable('clicked') + place
        END AS slot FROM ranked
)
SELECT *, bool_or(positive AND slot IS NOT NULL) OVER (PARTITION BY query_id) AS in_tuple FROM slotted;

CREATE TEMP TABLE heads AS
WITH one AS (
    SELECT query_id, any_value(ts) AS ts, any_value(query_norm) AS query_norm, any_value(split) AS split
    FROM candidates WHERE in_tuple GROUP BY query_id
),
capped AS (
    SELECT * FROM one QUALIFY split <> 'train'
        OR row_number() OVER (PARTITION BY query_norm, split ORDER BY hash(query_id), query_id) <= getvariable('per_query')
),
times AS (
    SELECT query_norm, dense_id, count(*) AS n FROM candidates
    WHERE split = 'train' AND positive AND loss IS NULL GROUP BY ALL
),
most AS (
    SELECT * FROM times
    QUALIFY row_number() OVER (PARTITION BY query_norm ORDER BY n DESC, dense_id) <= getvariable('known')
),
known AS (SELECT query_norm, list(dense_id ORDER BY n DESC, dense_id) AS known FROM most GROUP BY query_norm),
seen AS (SELECT DISTINCT query_norm FROM requests WHERE split = 'train')
SELECT c.*, coalesce(k.known, []) AS known, s.query_norm IS NOT NULL AS query_seen,
    row_number() OVER (PARTITION BY split ORDER BY hash(query_id, 'order'), query_id) - 1 AS place
FROM capped c LEFT JOIN known k USING (query_norm) LEFT JOIN seen s USING (query_norm);

CREATE TEMP TABLE slots AS
SELECT h.split, h.place, c.stage, c.slot::INT AS slot, c.dense_id, c.positive, c.last_event
FROM candidates c JOIN heads h USING (query_id) WHERE c.slot IS NOT NULL;

CREATE TEMP TABLE rates AS  -- p(i) of every item: one pass over the catalogue, one more for the mass
WITH popularity AS (
    SELECT dense_id, count(*) AS positives FROM slots WHERE split = 'train' AND positive GROUP BY dense_id
),
counted AS (
    SELECT i.dense_id, i.available, coalesce(p.positives, 0) AS positives
    FROM read_parquet(getvariable('items')) i LEFT JOIN popularity p USING (dense_id)
),
total AS (
    SELECT count(*) FILTER (available) AS available, greatest(sum(positives), 1) AS positives,
        sum(pow(positives, getvariable('alpha'))) FILTER (available AND positives > 0) AS mass FROM counted
)
SELECT c.dense_id, (c.positives / t.positives)::FLOAT AS share, CASE WHEN c.available THEN
        CASE WHEN t.mass > 0 THEN getvariable('uniform_share') ELSE 1 END / t.available
        + coalesce((1 - getvariable('uniform_share')) * CASE WHEN c.positives > 0 THEN pow(c.positives, getvariable('alpha')) ELSE 0 END
        / t.mass, 0) ELSE 0 END AS probability, c.available
FROM counted c, total t;

CREATE TEMP TABLE stream AS
WITH expected AS (SELECT *, probability * getvariable('entries') AS e FROM rates WHERE available),
copies AS (
    SELECT *, floor(e)::INT + (hash(dense_id) / 18446744073709551616.0 < e - floor(e))::INT AS n FROM expected
)
SELECT dense_id, unnest(range(n))::INT AS copy, share, probability::FLOAT AS probability FROM copies WHERE n > 0;

CREATE TEMP TABLE texts AS  -- of the distinct items that stand in a slot or in the stream
WITH needed AS (SELECT dense_id FROM slots UNION SELECT dense_id FROM stream)
SELECT i.dense_id, i.title, i.brand, i.category_path, i.shop, i.price, r.share, r.probability
FROM read_parquet(getvariable('items')) i JOIN needed USING (dense_id) JOIN rates r USING (dense_id);
