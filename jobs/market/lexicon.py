"""Words of the simulated market: readable ones from `products.py`, generated ones beyond them."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.market.products import PRODUCTS

KINDS = 6
SLOTS = 3
VALUES = 8

# family: eight values as titles write them, `=` what shoppers also say
FAMILIES = {
    "colour": "black, white, navy=dark blue, red, green, grey=gray, beige=cream, pink=rose",
    "size": "xs=extra small, small, medium, large, xl=extra large, xxl=2xl, petite=short fit, tall=long fit",
    "capacity": (
        "16gb=16 gb, 32gb=32 gb, 64gb=64 gb, 128gb=128 gb, "
        "256gb=256 gb, 512gb=512 gb, 1tb=1 tb, 2tb=2 tb"
    ),
    "milliamp": (
        "5000mah=5000, 10000mah=10000, 15000mah=15000, 20000mah=20000, "
        "25000mah=big, 30000mah=30000, 3000mah=tiny, 8000mah=8000"
    ),
    "volume": (
        "250ml=250 ml, 500ml=half litre, 750ml=750 ml, 1l=1 litre, "
        "2l=2 litre, 5l=5 litre, 10l=10 litre, 25l=25 litre"
    ),
    "length": (
        "30cm=30 cm, 50cm=half metre, 1m=1 metre, 2m=2 metre, "
        "3m=3 metre, 5m=5 metre, 10m=10 metre, 150cm=150 cm"
    ),
    "diameter": (
        "16cm=16 cm, 20cm=20 cm, 24cm=24 cm, 28cm=28 cm, "
        "32cm=large, 36cm=36 cm, 40cm=extra large, 12cm=mini"
    ),
    "material": "cotton, leather=real leather, steel=metal, oak=wooden, plastic, glass, bamboo, ceramic",
    "power": (
        "20w=20 watt, 30w=30 watt, 45w=45 watt, 65w=65 watt, "
        "100w=100 watt, 500w=500 watt, 1000w=1 kw, 2000w=2 kw"
    ),
    "pack": (
        "single=one, 2 pack=pair, 3 pack=set of 3, 4 pack=set of 4, "
        "6 pack=half dozen, 10 pack=ten, 12 pack=dozen, 24 pack=bulk"
    ),
    "pattern": (
        "plain=solid, striped=stripes, floral=flowers, checked=plaid, "
        "dotted=polka dot, camo=camouflage, geometric=shapes, marble=stone look"
    ),
    "audience": (
        "women=ladies, men=mens, kids=children, baby=infant, "
        "toddler=small child, teen=teenager, unisex=everyone, senior=elderly"
    ),
    "feature": (
        "waterproof=water resistant, foldable=folding, cordless=no cable, rechargeable=with battery, "
        "portable=to go, adjustable=flexible, ergonomic=comfortable, heavy duty=strong"
    ),
    "screen": (
        "5 inch=5in, 6 inch=6in, 7 inch=7in, 10 inch=10in, "
        "13 inch=13in, 15 inch=15in, 24 inch=24in, 32 inch=32in"
    ),
    "finish": (
        "matte=dull, glossy=shiny, brushed, polished, "
        "vintage=retro, modern=contemporary, rustic=farmhouse, minimalist=simple"
    ),
    "scent": (
        "lavender, rose, citrus=orange, unscented=fragrance free, "
        "coconut, sandalwood=woody, pine=forest, jasmine"
    ),
    "shade": (
        "nude=natural, coral=peach, ruby=red, plum=purple, "
        "mocha=brown, rosewood=pink, jet=black, pearl=white"
    ),
    "weight": (
        "500g=half kilo, 1kg=1 kilo, 2kg=2 kilo, 4kg=4 kilo, "
        "5kg=5 kilo, 8kg=8 kilo, 10kg=10 kilo, 20kg=20 kilo"
    ),
    "bedsize": (
        "single bed=single, double bed=double, queen=queen size, king=king size, "
        "super king=extra wide, cot=baby bed, toddler bed=kids bed, twin=two beds"
    ),
}

# word in titles -> how much better (or worse) than the brand's average such an item is
LINES = {"pro": 1.0, "signature": 0.8, "plus": 0.4, "classic": 0.0, "go": -0.4, "lite": -0.8, "basic": -1.1}

HYPE = (
    "best seller", "new 2026", "hot deal", "viral", "limited edition", "must have", "wow price", "trending",
    "amazing", "premium look", "gift idea", "flash sale",
)

CHEAP = ("cheap", "budget", "affordable", "low price")
GOOD = ("best", "good quality", "high end", "top")
FILLERS = ("buy", "online", "for sale", "shop")

BRANDS = (
    "Voltara", "Nordholm", "Kestrel", "Amberly", "Quillon", "Brisa", "Tavano", "Ostwind", "Larkspur", "Meridia",
    "Fennec", "Solvara", "Grynn", "Halcyon", "Pinnora", "Zephra", "Calder", "Umbria", "Tornado", "Vellum", "Arcadia",
    "Bexley", "Corvane", "Drift", "Elmwood", "Fjordal", "Gallant", "Hearth", "Ionix", "Juniper", "Kodama", "Lumina",
    "Maverick", "Nimbus", "Orchard", "Pallas", "Quartz", "Ridgeway", "Sorrel", "Tundra", "Ursa", "Verdant",
    "Westmark", "Xylo", "Yonder", "Zenith", "Alder", "Birchfield", "Copperline", "Dovetail", "Everly", "Foxglove",
    "Granite", "Harbour", "Inkwell", "Jasper", "Kindred", "Lodestar", "Marlow", "Northfold", "Opaline", "Pemberton",
    "Quince", "Rosalind", "Sterling", "Thistle", "Upland", "Vantage", "Willow", "Yarrow",
)

SHOPS = (
    "Northgate Store", "Blue Harbour", "Corner Market", "Sunrise Trading", "Old Mill Goods", "Express Depot",
    "City Bazaar", "Maple Outlet", "Harbourside Direct", "Golden Lane", "Pine Street Shop", "Bargain Barn",
    "First Choice", "Willow Warehouse", "Summit Supplies", "Daily Deals",
)

SYLLABLES = tuple(f"{c}{v}" for c in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st")
                  for v in ("a", "e", "i", "o"))


@dataclass(frozen=True)
class Product:
    """One noun of the lexicon with its words."""

    path: str
    names: tuple[str, ...]
    wishes: tuple[str, ...]
    kinds: tuple[str, ...]
    kind_wishes: tuple[str, ...]
    families: tuple[int, ...]
    price: float


def pairs(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`a=x, b` -> (("a", "b"), ("x", "b")): what titles write, and what shoppers say."""
    entries = [entry.strip().split("=") for entry in text.split(",")]
    return tuple(e[0] for e in entries), tuple(e[-1] for e in entries)


def products() -> list[Product]:
    """The readable products, in the order in which a market of growing size takes them."""
    return [_product(line) for line in PRODUCTS.strip().splitlines()]


def family_values() -> tuple[list[str], list[str]]:
    """Values of all families, 8 each, one after the other: as titles write them, and as shoppers say them."""
    both = [pairs(text) for text in FAMILIES.values()]
    return [word for titles, _ in both for word in titles], [word for _, said in both for word in said]


def _product(line: str) -> Product:
    path, noun, names, wishes, kinds, families, price = (field.strip() for field in line.split("|"))
    kinds_written, kinds_said = pairs(kinds)
    return Product(
        path=path, names=(noun, *pairs(names)[0]), wishes=pairs(wishes)[0], kinds=kinds_written,
        kind_wishes=kinds_said, families=tuple(list(FAMILIES).index(f) for f in families.split()), price=float(price),
    )
