"""`python -m adaptors`: the same as the script `adaptors`."""

from encoder_surgery.adaptors_commands.app import adaptors_app

if __name__ == "__main__":
    adaptors_app(prog_name="adaptors")
