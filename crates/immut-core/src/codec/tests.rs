//! Decoders against encoders that others wrote.
