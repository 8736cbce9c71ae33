"""Separation metrics: nSDR, BSS Eval (SDR, ISR, SIR, SAR), SI-SDR, spectral and perceptual ones."""
