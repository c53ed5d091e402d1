//! The splice against encoders and decoders that others wrote.
