//! How far the feed's news of births lags behind the target's clock.
