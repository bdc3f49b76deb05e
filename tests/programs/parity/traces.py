"""Traces and profiles itself, and leaves nothing on."""
import sys

seen = []


def trace(frame, event, argument):
    seen.append((frame.f_code.co_name, event))
    return trace


def work():
    return len("abc")


sys.settrace(trace)
work()
sys.settrace(None)
sys.setprofile(trace)
work()
sys.setprofile(None)
print(seen)
