"""`python -m tests.chaos`: the crash proof in its long form."""

if __name__ == "__main__":  # worker processes import this module again, under another name
    from tests.chaos.command import main

    main(prog_name="python -m tests.chaos")
