"""Personal data by Presidio's default recognisers of forms, as lines of JSON: `privacy_peer.py FILE.jsonl`.

Names and places, for which it asks a language model, are left out: they are not compared, and would take it longer still.
"""
import json
import sys
import time

import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

KINDS = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip_address", "IBAN_CODE": "iban", "CREDIT_CARD": "payment_card",
    "US_SSN": "national_id", "US_ITIN": "national_id", "UK_NHS": "national_id",
}


class Blank(SpacyNlpEngine):
    def __init__(self):
        super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
        self.nlp = {"en": spacy.blank("en")}

    def load(self):
        pass


registry = RecognizerRegistry()
registry.load_predefined_recognizers(languages=["en"])
registry.recognizers = [one for one in registry.recognizers if "spacy" not in type(one).__name__.lower()]
engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
with open(sys.argv[1], encoding="utf-8") as lines:
    texts = [json.loads(line)["text"] for line in lines]
engine.analyze(texts[0], language="en", entities=list(KINDS))
since = time.perf_counter()
found = [engine.analyze(text, language="en", entities=list(KINDS)) for text in texts]
seconds = time.perf_counter() - since
for number, of_text in enumerate(found):
    for one in of_text:
        print(json.dumps([number, KINDS[one.entity_type], one.start, one.end]))
print(json.dumps(["seconds", seconds]))
