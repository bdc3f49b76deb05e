import os
import signal
import sys


class Own(KeyboardInterrupt):
    pass


def by_raise():
    raise KeyboardInterrupt


def by_signal():
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass


def by_own():
    raise Own("own")


def caught():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        print("caught")


def by_termination():
    print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        pass


globals()[sys.argv[1]]()
