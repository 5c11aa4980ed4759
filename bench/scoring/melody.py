"""How well a method follows the melody of a voice: its pitch track against the labels, by mir_eval.

Raw pitch accuracy is the share of the voiced labels from which the pitch track is less than half a
semitone away, whether the method calls that frame voiced or not; raw chroma accuracy forgives
octaves. Voicing recall is the share of the voiced labels where the method calls the voice voiced,
and voicing false alarm the share of the others where it does so. Overall accuracy asks for pitch
and voicing at once. All are in per cent.

References
----------
Salamon, Gomez, Ellis, Richard: Melody extraction from polyphonic music signals: approaches,
applications and challenges, IEEE Signal Processing Magazine 31(2), 2014.
Poliner et al.: Melody transcription from music audio: approaches and evaluation, IEEE TASLP 15(4),
2007 (the measures).
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from bench.track import PitchTrack

#: Name of each measure, and mir_eval's.
MEASURES = {
    "raw_pitch": "Raw Pitch Accuracy",
    "raw_chroma": "Raw Chroma Accuracy",
    "overall_accuracy": "Overall Accuracy",
    "voicing_recall": "Voicing Recall",
    "voicing_false_alarm": "Voicing False Alarm",
}


def melody_scores(labels: PitchTrack, followed: PitchTrack) -> dict[str, float]:
    """Return the measures of a pitch track by name, in per cent.

    A measure for which no label counts is NaN.

    Parameters
    ----------
    labels
        The true pitch; 0 where the voice has none.
    followed
        The pitch that a method followed.

    Examples
    --------
    >>> times_s = np.arange(4) * 0.02
    >>> labels = PitchTrack(times_s, np.array([220.0, 220.0, 0.0, 330.0]))
    >>> followed = PitchTrack(times_s, np.array([221.0, 440.0, 0.0, -330.0]))
    >>> scores = melody_scores(labels, followed)
    >>> {name: round(scores[name]) for name in ("raw_pitch", "raw_chroma", "voicing_recall")}
    {'raw_pitch': 67, 'raw_chroma': 100, 'voicing_recall': 67}
    """
    import mir_eval

    voiced = labels.hertz > 0
    counted = {
        "raw_pitch": voiced,
        "raw_chroma": voiced,
        "overall_accuracy": np.ones_like(voiced),
        "voicing_recall": voiced,
        "voicing_false_alarm": ~voiced,
    }
    if not voiced.size:
        return dict.fromkeys(MEASURES, math.nan)
    # mir_eval would add a label at time 0, were the first at another time.
    theirs, ours = (track.times_s - labels.times_s[0] for track in (labels, followed))
    times_s, hertz = ours[ours >= 0], followed.hertz[ours >= 0]
    if not times_s.size:  # the track ends before the first label, so that nothing is followed
        times_s, hertz = np.zeros(1), np.zeros(1)
    with warnings.catch_warnings(action="ignore"):  # of voiced labels alone, or a single point
        scores = mir_eval.melody.evaluate(theirs, labels.hertz, times_s, hertz)
    return {
        name: 100.0 * float(scores[measure]) if counted[name].any() else math.nan
        for name, measure in MEASURES.items()
    }
