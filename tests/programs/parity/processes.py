import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor


def square(number):
    return number * number, __name__


if __name__ == "__main__":
    how = sys.argv[1]
    if how == "fork":
        print("once", flush=True)
        if os.fork() == 0:
            print("child")
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    elif how == "replaced":
        os.execv(sys.executable, [sys.executable, "-c", "print('another program')"])
    elif how == "executor":
        with ProcessPoolExecutor(1) as executor:
            print(list(executor.map(square, [1, 2, 3])))
    else:
        with multiprocessing.get_context(how.removeprefix("pool ")).Pool(2) as pool:
            print(pool.map(square, [1, 2, 3]))
