def f(argument: 1 + 1):
    pass


print(f.__annotations__)
