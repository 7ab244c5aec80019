"""Where Silero's detector hears a voice: voices.py RECORDING. Prints [[start, end], …] in seconds."""

import json
import sys

from faster_whisper.audio import decode_audio
from faster_whisper.vad import VadOptions, get_speech_timestamps

options = VadOptions(min_silence_duration_ms=200, speech_pad_ms=0)
spoken = get_speech_timestamps(decode_audio(sys.argv[1]), options)
print(json.dumps([[voice["start"] / 16000, voice["end"] / 16000] for voice in spoken]))
