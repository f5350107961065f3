"""What the made-up people of the platform are called and what is written about them: adults, and in good humour."""

FIRST = (
    "Juniper", "Amos", "Beatrix", "Cosmo", "Dorothea", "Ezra", "Fiona", "Gideon", "Harriet", "Ignatius", "Josephine",
    "Klaus", "Lavinia", "Mortimer", "Nadia", "Otis", "Philippa", "Quentin", "Rosalind", "Silas", "Tabitha", "Ulrich",
    "Vera", "Wendell", "Xenia", "Yorick", "Zelda", "Ambrose", "Clementine", "Dashiell", "Eudora", "Ferdinand",
    "Gwendolyn", "Horatio", "Imelda", "Jasper", "Kassandra", "Leopold", "Millicent", "Norbert",
)  # fmt: skip
LAST = (
    "Vale", "Thistlewood", "Marsh", "Okonkwo", "Lindqvist", "Featherstone", "Nakamura", "Brambleby", "Castellanos",
    "Drummond", "Eisenberg", "Fairweather", "Grimaldi", "Hollander", "Ivanova", "Juarez", "Kowalski", "Lemaire",
    "Montague", "Novak", "Oduya", "Pemberton", "Quill", "Rasmussen", "Sandoval", "Tanaka", "Underhill", "Villanueva",
    "Wexford", "Yamamoto", "Zimmermann", "Abernathy", "Blackwood", "Cavendish", "Delacroix", "Ellsworth", "Fitzroy",
    "Galloway", "Hawthorne", "Ibsen",
)  # fmt: skip
LONG_NAME = " of the Lighthouse at the Far End of the Very Long Pier"
RIGHT_TO_LEFT = ("ليلى النجار", "דנה לוי\u200f", "فرهاد مرادی")
EMOJI = ("Captain Marmalade 🦜", "🎷 Sax Sally", "Baker 👩🏽‍🍳")
COMBINING = ("Zoe\u0308 Nu\u0301n\u0303ez", "A\u030angstro\u0308m", "Bje\u0301ntegaard")
ROLES = (
    "keeps a lighthouse and argues with seagulls about jazz",
    "mends music boxes and has an opinion on every kind of marmalade",
    "drives a night tram and knows every baker on its line",
    "teaches geography by telling how the soup tasted there",
    "repairs bicycles, mostly by talking to them",
    "restores old maps and adds the coffee stains back in",
    "runs a flower shop whose roses are all named after aunts",
    "conducts an orchestra of retired plumbers",
)
MANNERS = (
    "never late, never early, always surprised",
    "laughs first and explains afterwards",
    "collects umbrellas that others forgot",
    "writes letters by hand and forgets the stamps",
    "keeps three clocks that agree about nothing",
)
APPEARANCE = (
    "silver hair", "laugh lines", "freckles", "red hair", "round glasses", "broad shoulders", "dimples", "curly hair",
    "grey beard", "green eyes", "crooked nose", "warm smile", "sun-tanned", "tall", "short bob", "thick eyebrows",
    "high cheekbones", "brown eyes", "braided hair", "gap teeth", "bald", "moustache", "double chin", "long lashes",
    "weathered hands",
)  # fmt: skip
CLOTHING = (
    "mustard raincoat", "woollen scarf", "tweed jacket", "linen shirt", "rubber boots", "knitted cap", "dungarees",
    "velvet waistcoat", "straw hat", "corduroy trousers", "bow tie", "cardigan", "apron", "flat cap", "overcoat",
    "striped socks", "leather gloves", "silk tie", "denim jacket", "walking shoes", "poncho", "kimono", "blazer",
)  # fmt: skip
PROMPTS = (
    "a portrait of an adult by a window, reading a letter",
    "an adult on a pier in the rain, laughing",
    "an adult at a workbench, a music box in both hands",
    "an adult in a night tram, city lights behind the glass",
)
FAILURES = (
    "timeout",
    "502 Bad Gateway",
    "connection reset by peer",
    "The provider's queue was full",
    "TypeError: fetch failed",
)
SCENES = (
    ("The pier at dawn", "Fog, gulls, and a thermos of tea."),
    ("Last tram home", "Nobody else on board but a sleeping dog."),
    ("The clock shop", "Every clock strikes, none of them twelve."),
)
