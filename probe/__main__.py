"""`python -m probe`: the same as the script `probe`."""

from encoder_surgery.probe_commands.app import probe_app

if __name__ == "__main__":
    probe_app(prog_name="probe")
