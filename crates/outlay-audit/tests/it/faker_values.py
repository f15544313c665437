"""Texts with values that Faker makes up in thirteen languages, as JSON lines: id, text, kind, and where the value is."""
import json
import random

from faker import Faker

LANGUAGES = [
    "en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "pt_BR", "en_IN", "en_CA", "en_AU",
]
AROUND = {
    "email": ["Write to {} today.", "Contact: {}", "my mail is {} thanks"],
    "phone": ["Call me at {} tonight.", "Phone: {}", "Tel. {}"],
    "ip_address": ["The host {} was down.", "Login from {}"],
    "iban": ["Please pay to {} soon.", "IBAN: {}"],
    "payment_card": ["I paid with card {} yesterday.", "Card number: {}"],
    "national_id": ["My SSN is {}.", "Social security number: {}", "National ID: {}"],
    "street_address": ["She lives at {}, near the park.", "Address: {}"],
}

random.seed(11)
Faker.seed(11)
words = Faker("en_US")
n = 0
for language in LANGUAGES:
    fake = Faker(language)
    values = {
        "email": fake.email,
        "phone": fake.phone_number,
        "ip_address": lambda: random.choice([fake.ipv4_public, fake.ipv6])(),
        "iban": fake.iban,
        "payment_card": fake.credit_card_number,
        "national_id": fake.ssn,
        "street_address": fake.street_address,
    }
    for kind, around in AROUND.items():
        # Those of these are none: no account of 21 signs is British, and no number of insurance begins with ZZ.
        if (kind, language) in (("iban", "en_IN"), ("national_id", "en_GB")):
            continue
        for _ in range(30):
            value = values[kind]().strip().replace("\n", ", ")
            before, after = random.choice(around).split("{}")
            before = f"{words.sentence()} {before}"
            text = f"{before}{value}{after} {words.sentence()}"
            print(json.dumps({
                "id": str(n), "text": text, "kind": kind, "language": language,
                "start": len(before), "end": len(before) + len(value),
            }))
            n += 1
