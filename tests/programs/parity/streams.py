import os
import sys

how = sys.argv[1]
if how == "unflushed":
    sys.stdout.write("no newline")
if how == "read":
    print(ascii(sys.stdin.read()))
    print(input("nothing left? "))
if how == "asked":
    print(input("your name? "))
if how == "stdout closed":
    sys.stdout.close()
if how == "stderr closed":
    sys.stderr.close()
    1 / 0
if how == "stdout none":
    sys.stdout = None
    1 / 0
if how == "stderr none":
    sys.stderr = None
    1 / 0
if how == "descriptor closed":
    print("lost")
    os.close(1)
if how == "broken pipe":
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)
    os.close(writer)
    print("lost")
