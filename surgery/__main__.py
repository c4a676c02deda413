"""`python -m surgery`: the same as the script `surgery`."""

from encoder_surgery.surgery_commands.app import surgery_app

if __name__ == "__main__":
    surgery_app(prog_name="surgery")
