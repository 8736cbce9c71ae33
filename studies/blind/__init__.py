"""The study of blind scores: what they know of the true quality of stems."""
