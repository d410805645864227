"""Odd queries: what people, phones and scrapers type into a search box, and what is there to break an encoder.

All of it is invented; no logged query is among it. Drawn characters are those of Unicode 3.2, which no library that is still
in use is too old for.
"""

from __future__ import annotations

import random
import unicodedata
from functools import lru_cache

QUERIES = 1_000
BY_HAND = (
    "", " ", "\t\n\r", "!!! ???", "🎉", "...", "-", "_", "'", "\u0301", "\u200b", "\ufeff",
    "\u00ad\u200d\u200e",
    "usb c charger", "USB-C CHARGER", "  usb\tc \n charger ", "usb_c/charger+65w", "a", "c++", "4k", "4.5 mm",
    "50% off", "$9.99", "№5",
    "Straße ẞ ﬁne ﬀ", "İstanbul ışık I i", "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ ᾳ ᾼ ΐ", "ŉ ǰ ẖ ẘ ſ", "Ꭰ ꭰ Ꮿ", "𐐀𐐨 𞤀𞤢", "Ǆ ǅ ǆ",
    "Å Å å", "Ω Ω K K",
    "café", "cafe\u0301", "cafe\u200d\u0301", "e\u0323\u0302 e\u0302\u0323 ệ", "\u0301usb \u0327\u0301c",
    "a\u0315\u0300\u05ae\u0062", "q\u0307\u0323",
    "Ｗｉｄｅ ＵＳＢ　Ｃ", "①②③ ⅷ Ⅻ ½ ¾ x² H₂O", "ﷺ ﷲ ﻻ", "㎏ ㎜ ㍿ ㋿ ㈱", "𝒳𝔘𝕊𝐁 𝟘𝟙", "ﾊﾟﾝﾂ ｶﾞﾑ ｱﾞ", "🄰🅱 🈂 ℃ ℡",
    "数码相机", "數碼相機 三脚架", "数码 相机", "カメラ かめら ヴ", "カメラバッグ 防水",
    "か\u3099 は\u309a", "𠮷野家 𩸽 丽", "豈 更 車", "々〆ヶ",
    "노트북 충전기", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한\u11a8", "ㄱㄴㄷ ﾡﾢ", "ที่ชาร์จ กำ ำ", "สายชาร์จ",
    "ເຄື່ອງ ຳ", "ကာ ဦး", "ខ្មែរ",
    "हिन्दी चार्जर", "क़ ख़ ड़", "বাংলা ড়", "தமிழ் கொ", "తెలుగు", "ಕನ್ನಡ ೋ", "മലയാളം ൌ", "සිංහල ෝ",
    "ਪੰਜਾਬੀ ਖ਼", "བོད་ ཀྵ",
    "شاحن يو اس بي", "شَاحِن", "شـاحـن", "لا لآ", "ک ك ی ي", "٤٥ ۴۵ ४५", "מטען", "שׁ שּׁ מַטְעֵן", "ייִ",
    "\u202eresrever\u202c usb", "\u2066a\u2069",
    "зарядка ЁЛКА Й и\u0306", "Україна ї", "ѵ\u030f", "кабель usb тип-c", "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն և",
    "አማርኛ", "ᚠᚢᚦ", "ᐃᓄᒃᑎᑐᑦ",
    "👨‍👩‍👧 👍🏽 🇩🇪 ❤️ 1️⃣ #️⃣", "🎥\ufe0f 4k", "usb🔌charger", "👟 кроссовки 42 сандалии 👡", "☕ mug ☕", "™ ® © ℠",
    "a🎉b c🎉", "\U000e0067\U000e0062",
    "a\u00a0b\u3000c\u1680d\u2003e\u2028f\u2029g\u205fh", "a\x1cb\x1dc\x1ed\x1fe", "a\x85b",
    "nul\x00 bell\x07 del\x7f \x9b", "¨a ´b ˘c ‗ ＿",
    "<us usb sb>", "<", "usb>c", "&lt;b&gt;", "' or 1=1 --", "../../etc", "%20usb%20", "\\u0000 \\n",
    '{"q": "usb"}', "=cmd|' /c", "NaN null None",
    "iphone15promaxcase", "one two three four five six seven eight nine ten eleven twelve",
    "a b c d e f g h i j k l m n o p q r s t",
    "no no no no no no no no no no", "x" * 511, "x" * 512, "x" * 513, "x" * 10_000, "x" * 511 + " y",
    "x" * 510 + " yz", "数 " * 5_000,
    "é" * 512, "ﷺ" * 40, "🎥" * 600, "a" + "\u0301" * 600, "ß" * 300, "ΐ" * 200, " " * 600 + "late",
    "\u200b" * 600 + "late", "usb c " * 200,
)
ALPHABETS = (
    "abcdefgh ijkl mno", "ABCdef 0123456789 -./", "数码相机电子 充电", "かなカナ ｶﾅ゙", "한국어 \u1100\u1161\u11a8",
    "абвЁЖ где", "αβΣς άΐ", "العربية َُِ",
    "हिन्दी क्ष ", "ไทย ที่ ", "é\u0301ﬁ①Ａßİſ ", "🎥🎉👨‍👩‍👧🏽\ufe0f ", "_-.,/ \t\n\x00\u200b\u00ad",
    "\u0300\u0323\u0327\u0345 a", "𝒳𐐀𠮷𞤀 ",
)
WORDS = (
    "usb", "USB-C", "charger", "65w", "cable", "2m", "red", "Rot", "shoes", "Größe", "42", "iphone", "15",
    "case", "coffee", "mug", "handmade", "zx-900",
    "chargeur", "câble", "niño", "zapatos", "ботинки", "鞋", "充电器", "ケース", "케이스", "شاحن", "जूते", "🎁", "0.5l",
    "3,5mm", "l'eau", "100%",
)


@lru_cache(maxsize=1)
def odd_queries() -> tuple[str, ...]:
    """QUERIES different ones: those above, then words, mixed scripts and characters of any script, drawn with a fixed seed."""
    draw = random.Random(11)
    assigned = [c for c in map(chr, range(0x110000)) if unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Co", "Cs")]
    found = dict.fromkeys(BY_HAND)
    while len(found) < QUERIES:
        mixed = "".join(draw.choices(draw.choice(ALPHABETS) + draw.choice(ALPHABETS), k=draw.randrange(1, 40)))
        words = " ".join(draw.choices(WORDS, k=draw.randrange(1, 14)))
        any_script = "".join(draw.choices(assigned, k=draw.randrange(1, 12)))
        found[draw.choice((mixed, words, any_script))] = None
    return tuple(found)
