"""From scores to quality in dB: regressors, intervals and their statistics."""
