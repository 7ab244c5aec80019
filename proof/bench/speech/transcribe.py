"""faster-whisper as script/bench speech measures it: transcribe.py MODEL RECORDING OUTPUT"""

import json
import sys

from faster_whisper import WhisperModel

model, recording, output = sys.argv[1:]
segments, _ = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1).transcribe(
    recording, language="en", beam_size=1
)
said = [{"start": said.start, "end": said.end, "text": said.text.strip()} for said in segments]
with open(output, "w") as file:
    json.dump({"segments": said}, file)
