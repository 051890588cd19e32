"""Tests of benches/python/recall.py, which compares two searches of the same frames."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches/python"))

import recall  # noqa: E402


def face(x, side, track="1"):
    return {"bounds": {"x": x, "y": 10.0, "width": side * 0.8, "height": side}, "score": 0.9, "track": track}


class Recall(unittest.TestCase):
    def compare(self, full, default):
        """The lines printed for one camera; each argument has the faces of each frame."""
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name, frames in (("full", full), ("partial", default)):
                files.append(Path(folder) / name)
                lines = [
                    json.dumps({"data": {"camera": "gate", "sequence": number, "search": name, "faces": faces}})
                    for number, faces in enumerate(frames)
                ]
                files[-1].write_text("\n".join(lines))
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
                recall.main(*files)
            return out.getvalue()

    def test_a_moved_box_is_the_same_face(self):
        printed = self.compare([[face(100.0, 40)]], [[face(108.0, 40, "7")]])
        self.assertIn("24 px and more: 1, found 100.00 %, missed 0, added 0", printed)

    def test_a_face_elsewhere_is_missed_and_added(self):
        printed = self.compare([[face(100.0, 40)]], [[face(300.0, 40)]])
        self.assertIn("24 px and more: 1, found 0.00 %, missed 1, added 1", printed)

    def test_one_box_is_not_two_faces(self):
        printed = self.compare([[face(100.0, 40), face(104.0, 40)]], [[face(102.0, 40)]])
        self.assertIn("24 px and more: 2, found 50.00 %, missed 1, added 0", printed)

    def test_small_faces_are_counted_apart(self):
        printed = self.compare([[face(100.0, 20), face(200.0, 30)]], [[face(200.0, 30)]])
        self.assertIn("24 px and more: 1, found 100.00 %, missed 0, added 0", printed)
        self.assertIn("smaller faces: 1, found 0.00 %", printed)

    def test_a_track_that_is_never_found_is_reported(self):
        missed = [[face(100.0, 40), face(300.0, 40, "2")]] * 5
        printed = self.compare(missed, [[face(100.0, 40)]] * 5)
        self.assertIn("tracks of 5 frames and more: 2, never found 1", printed)

    def test_different_frames_cannot_be_compared(self):
        with self.assertRaises(SystemExit):
            self.compare([[], []], [[]])


if __name__ == "__main__":
    unittest.main()
