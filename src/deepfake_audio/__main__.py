"""``python -m deepfake_audio``."""

from deepfake_audio.cli import main

if __name__ == "__main__":
    main()
