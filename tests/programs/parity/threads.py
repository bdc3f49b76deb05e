import sys
import threading

how = sys.argv[1]
main_is_done = threading.Event()


def work():
    if how == "raises":
        1 / 0
    if how == "exits":
        sys.exit(3)
    main_is_done.wait()
    threading._main_thread.join()
    print("the thread ends last", threading.main_thread().is_alive())


thread = threading.Thread(target=work, name="worker")
thread.start()
if how != "outlives":
    thread.join()
    raise ValueError("the end")
print("the main thread ends")
main_is_done.set()
