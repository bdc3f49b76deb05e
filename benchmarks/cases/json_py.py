"""Characters and recursion: JSON written and read by Python code, with no help from C."""

DOCUMENTS = 200

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
UNESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
DIGITS = frozenset("0123456789+-.eE")


def write(value):
    """Return `value` as JSON."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return '"' + "".join([ESCAPES.get(letter, letter) for letter in value]) + '"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return "[" + ",".join([write(item) for item in value]) + "]"
    return "{" + ",".join([write(key) + ":" + write(item) for key, item in value.items()]) + "}"


class Reader:
    """Reads one JSON text from left to right."""

    def __init__(self, text):
        self.text = text
        self.at = 0

    def skip(self):
        """Pass blanks; return the character after them."""
        while self.text[self.at] in " \n\t":
            self.at += 1
        return self.text[self.at]

    def value(self):
        """Return the value that starts here."""
        letter = self.skip()
        if letter == '"':
            return self.string()
        if letter == "[":
            return self.array()
        if letter == "{":
            return self.object()
        for word, value in (("null", None), ("true", True), ("false", False)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def string(self):
        """Return the string that starts here."""
        self.at += 1
        letters = []
        while (letter := self.text[self.at]) != '"':
            if letter == "\\":
                self.at += 1
                letter = UNESCAPES[self.text[self.at]]
            letters.append(letter)
            self.at += 1
        self.at += 1
        return "".join(letters)

    def number(self):
        """Return the number that starts here."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in DIGITS:
            self.at += 1
        digits = self.text[start : self.at]
        return float(digits) if "." in digits or "e" in digits else int(digits)

    def array(self):
        """Return the list that starts here."""
        items = []
        self.at += 1
        while self.skip() != "]":
            items.append(self.value())
            if self.skip() == ",":
                self.at += 1
        self.at += 1
        return items

    def object(self):
        """Return the dict that starts here."""
        items = {}
        self.at += 1
        while self.skip() != "}":
            key = self.string()
            self.skip()
            self.at += 1
            items[key] = self.value()
            if self.skip() == ",":
                self.at += 1
        self.at += 1
        return items


def document(seed):
    """Return a document of some size."""
    return {
        f"customer {index}": {
            "name": f'the "{index}th"\n',
            "orders": [
                {"id": seed * index + order, "price": order * 1.25, "paid": order % 2 == 0} for order in range(6)
            ],
            "note": None,
        }
        for index in range(20)
    }


def run(n):
    """Return the length of `n` times DOCUMENTS documents, each written, read and compared."""
    length = 0
    for seed in range(n * DOCUMENTS):
        data = document(seed)
        text = write(data)
        if Reader(text).value() != data:
            raise ValueError(text)
        length += len(text)
    return length
