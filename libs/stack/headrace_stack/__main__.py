"""`python -m headrace_stack`: the commands behind `make up`, `make down`, `make status` and `make logs`."""

from headrace_stack.cli import main

if __name__ == "__main__":
    main()
