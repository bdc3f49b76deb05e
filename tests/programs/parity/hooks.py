"""Ends by an exception, with an excepthook of its own."""
import sys
import traceback


def reports(kind, value, tb):
    print(kind, value, tb.tb_frame.f_code.co_name, tb.tb_lineno, "__file__" in globals())
    print(sys.excepthook is reports, value.__traceback__ is tb, sys.last_traceback is tb, sys.last_value is value)
    if kind is not KeyboardInterrupt:  # after that, what the standard library imports here may alter the exit status
        traceback.print_tb(tb)


def fails(kind, value, tb):
    {}["missing"]


def exits(kind, value, tb):
    sys.exit(9)


def interrupts(kind, value, tb):
    raise KeyboardInterrupt


def end():
    if sys.argv[1:] == ["reports", "interrupt"]:
        raise KeyboardInterrupt
    1 / 0


how = sys.argv[1]
if how == "deleted":
    del sys.excepthook
else:
    sys.excepthook = {"none": None, "printed": print}.get(how) or globals().get(how)
end()
