//! A live target over gRPC: connect, subscribe, pump, reconnect.
