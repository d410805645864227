// A query's ids in Java, by the files of an export alone (docs/EXPORT.md): the JDK for NFKC, Jackson for JSON.
//
//     java -cp 'jackson/*' QueryIds.java build/query_encoder    prints the lines of vectors.jsonl that come out otherwise

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

public final class QueryIds {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final JsonNode rules;
    private final JsonNode folds;
    private final BitSet white, dropped, first, further;
    private final Map<String, Map<Long, Long>> known = new HashMap<>();

    QueryIds(Path folder) throws IOException {
        rules = JSON.readTree(folder.resolve("grains.json").toFile());
        JsonNode tables = JSON.readTree(folder.resolve(rules.at("/normalisation/characters").asText()).toFile());
        folds = tables.get("casefold");
        white = members(tables.get("white_space"));
        dropped = members(tables.get("dropped"));
        first = members(tables.get(rules.at("/words/begin_and_go_on").asText()));
        further = members(tables.get(rules.at("/words/only_go_on").asText()));
        for (String line : Files.readAllLines(folder.resolve(rules.at("/vocabulary/file").asText()))) {
            String[] cells = line.split("\t");
            known.computeIfAbsent(cells[0], grain -> new HashMap<>())
                .put(Long.parseUnsignedLong(cells[1], 16), Long.parseLong(cells[2]));
        }
    }

    private static BitSet members(JsonNode ranges) {
        BitSet found = new BitSet();
        ranges.forEach(range -> found.set(range.get(0).asInt(), range.get(1).asInt() + 1));
        return found;
    }

    String normalise(String text) {
        StringBuilder seen = new StringBuilder();
        text.codePoints().filter(c -> white.get(c) || !dropped.get(c)).forEach(c -> seen.appendCodePoint(white.get(c) ? ' ' : c));
        StringBuilder folded = new StringBuilder();
        Normalizer.normalize(seen, Normalizer.Form.NFKC).codePoints().forEach(c -> {
            JsonNode fold = folds.get(Character.toString(c));
            folded.append(fold == null ? Character.toString(c) : fold.asText());
        });
        String spaced = strip(Normalizer.normalize(folded, Normalizer.Form.NFKC).replaceAll(" +", " "));
        int[] kept = spaced.codePoints().limit(rules.at("/normalisation/max_characters").asInt()).toArray();
        return strip(new String(kept, 0, kept.length));
    }

    /** Without the one space that may stand at either end. */
    private static String strip(String text) {
        return text.replaceAll("^ | $", "");
    }

    List<String> words(String normalised) {
        List<String> words = new ArrayList<>();
        StringBuilder current = new StringBuilder();
        normalised.codePoints().forEach(c -> {
            if (first.get(c) || (further.get(c) && current.length() > 0)) {
                current.appendCodePoint(c);
            } else if (!further.get(c)) {
                end(words, current);
            }
        });
        end(words, current);
        return words;
    }

    private static void end(List<String> words, StringBuilder current) {
        if (current.length() > 0) {
            words.add(current.toString());
            current.setLength(0);
        }
    }

    List<String> tokens(String grain, List<String> words) {
        List<String> tokens = new ArrayList<>();
        switch (grain) {
            case "word" -> tokens.addAll(words);
            case "bigram" -> {
                String between = rules.at("/bigrams/between").asText();
                for (int n = 1; n < words.size(); n++) tokens.add(words.get(n - 1) + between + words.get(n));
            }
            default -> {
                for (String word : words) {
                    int[] c = (rules.at("/trigrams/begin").asText() + word + rules.at("/trigrams/end").asText()).codePoints().toArray();
                    for (int n = 0; n + 3 <= c.length; n++) tokens.add(new String(c, n, 3));
                }
            }
        }
        return tokens.subList(0, Math.min(tokens.size(), rules.at("/grains/" + grain + "/max_ids").asInt()));
    }

    long hash(String token) {
        JsonNode rule = rules.get("hash");
        long h = hexadecimal(rule.get("offset")), prime = hexadecimal(rule.get("prime"));
        int shift = rule.get("shift").asInt();
        for (byte b : token.getBytes(StandardCharsets.UTF_8)) h = (h ^ (b & 0xff)) * prime;
        for (JsonNode factor : rule.get("factors")) h = (h ^ (h >>> shift)) * hexadecimal(factor);
        return h ^ (h >>> shift);
    }

    private static long hexadecimal(JsonNode text) {
        return Long.parseUnsignedLong(text.asText().substring(2), 16);
    }

    long id(String grain, String token) {
        JsonNode rule = rules.at("/grains/" + grain);
        long h = hash(token);
        long bin = rule.get("first_bin").asLong() + Long.remainderUnsigned(h, rule.get("bins").asLong());
        return known.getOrDefault(grain, Map.of()).getOrDefault(h, bin);
    }

    public static void main(String[] arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        QueryIds encoder = new QueryIds(folder);
        int lines = 0;
        for (String line : Files.readAllLines(folder.resolve("vectors.jsonl"))) {
            JsonNode expected = JSON.readTree(line);
            String normalised = encoder.normalise(expected.get("text").asText());
            boolean same = normalised.equals(expected.get("normalised").asText());
            for (Iterator<String> grains = encoder.rules.get("grains").fieldNames(); grains.hasNext();) {
                String grain = grains.next();
                List<String> tokens = encoder.tokens(grain, encoder.words(normalised));
                same &= JSON.valueToTree(tokens).equals(expected.at("/tokens/" + grain));
                List<Long> ids = tokens.stream().map(token -> encoder.id(grain, token)).toList();
                same &= ids.toString().replace(" ", "").equals(expected.at("/ids/" + grain).toString());
            }
            if (!same) System.out.println("line " + (lines + 1) + ": " + JSON.writeValueAsString(normalised));
            lines++;
        }
        System.out.println(lines + " lines");
    }
}
