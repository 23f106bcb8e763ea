//! Answers of an API server that cannot grow without end: one line of a watch, or any other answer as a whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tower::{BoxError, Layer, Service};

/// Bytes that an answer may have: a list has every pod of a namespace that matches.
const ANSWER: usize = 256 << 20;

/// Bytes that a line of a watch may have. It is about one object, which has 1.5 MiB at most by default of etcd.
const LINE: usize = 16 << 20;

/// What bounds the answers of a service.
#[derive(Clone)]
pub(super) struct Bounding;

impl<S> Layer<S> for Bounding {
    type Service = BoundedService<S>;

    fn layer(&self, service: S) -> BoundedService<S> {
        BoundedService(service)
    }
}

/// A service whose answers are bounded.
#[derive(Clone)]
pub(super) struct BoundedService<S>(S);

impl<S, B> Service<Request<kube::client::Body>> for BoundedService<S>
where
    S: Service<Request<kube::client::Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Bounded<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let (is_watch, answer) = (is_watch(request.uri()), self.0.call(request));
        Box::pin(async move { answer.await.map(|answer| answer.map(|body| bounded(body, is_watch))) })
    }
}

/// Whether a request asks for changes, a line each for as long as it lasts.
fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|it| matches!(it, "watch=true" | "watch=1")))
}

/// The body of an answer, which fails once it is too long.
pub(super) struct Bounded<B> {
    body: B,
    /// Whether each line counts by itself.
    is_lines: bool,
    /// Bytes so far: of the answer, or of the line.
    length: usize,
    most: usize,
}

/// Bounds an answer; one of a watch is as long as the watch lasts, and its lines are bounded.
fn bounded<B>(body: B, is_lines: bool) -> Bounded<B> {
    Bounded { body, is_lines, length: 0, most: if is_lines { LINE } else { ANSWER } }
}

impl<B> Bounded<B> {
    /// Takes in more of it, and says whether it is too long by now.
    fn is_too_long(&mut self, bytes: &[u8]) -> bool {
        let ends = if self.is_lines { bytes.iter().rposition(|byte| *byte == b'\n') } else { None };
        // A line that ends here is whole, and was too long or not before it ended.
        let first = bytes.iter().position(|byte| self.is_lines && *byte == b'\n').unwrap_or(bytes.len());
        let is_too_long = self.length.saturating_add(first) > self.most;
        self.length = ends.map_or(self.length.saturating_add(bytes.len()), |end| bytes.len() - end - 1);
        is_too_long || self.length > self.most
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            Some(match frame? {
                Ok(frame) if frame.data_ref().is_some_and(|bytes| self.is_too_long(bytes)) => {
                    let what = if self.is_lines { "a line of the watch" } else { "the answer" };
                    Err(format!("{what} has more than {} MiB", self.most >> 20).into())
                }
                frame => frame.map_err(Into::into),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(is_lines: bool, pieces: &[&[u8]]) -> Option<usize> {
        let mut body = Bounded { body: (), is_lines, length: 0, most: 8 };
        pieces.iter().position(|piece| body.is_too_long(piece))
    }

    #[test]
    fn an_answer_is_bounded_as_a_whole_and_a_watch_line_by_line() {
        assert_eq!(taken(false, &[b"1234", b"\n678", b"9"]), Some(2));
        assert_eq!(taken(false, &[b"12345678"]), None);
        assert_eq!(taken(true, &[b"1234567\n", b"12345678", b"\n", b"12\n345\n6789"]), None);
        assert_eq!(taken(true, &[b"1234", b"56789", b"\n"]), Some(1), "an endless line");
        assert_eq!(taken(true, &[b"1234", b"56789\n1"]), Some(1), "its end comes with the rest of it");
        assert_eq!(taken(true, &[b"1\n1234567890"]), Some(0));
    }
}
