import sys


class Noisy:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("gone", self.name, __name__)
        if self.name == "fails":
            1 / 0


first, second, fails = Noisy("first"), Noisy("second"), Noisy("fails")
sys.held = Noisy("held by sys")
if sys.argv[1:] == ["raises"]:
    1 / 0
