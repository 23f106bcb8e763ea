use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use mpsc::error::{SendError, TryRecvError, TrySendError};

#[test]
fn what_was_sent_is_received_in_order_and_then_nothing() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(4);
    for number in 0..3 {
        by_hand(sender.send(number)).ready().unwrap();
    }
    drop(sender);
    let mut received = || by_hand(receiver.recv()).ready();
    assert_eq!([received(), received(), received(), received(), received()], [Some(0), Some(1), Some(2), None, None]);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for number in 0..100 {
        sender.send(number).unwrap();
    }
    drop(sender);
    for number in 0..100 {
        assert_eq!(by_hand(receiver.recv()).ready(), Some(number));
    }
    assert_eq!(by_hand(receiver.recv()).ready(), None);
}

#[test]
fn a_receiver_is_woken_once_by_a_message() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for number in 0..200 {
        let mut wait = by_hand(receiver.recv());
        assert!(wait.is_pending() && wait.wakes() == 0);
        assert!(wait.is_pending() && wait.wakes() == 0, "a second look wakes nobody");
        sender.send(number).unwrap();
        assert_eq!(wait.wakes(), 1);
        assert_eq!(wait.ready(), Some(number));
        assert_eq!(wait.wakes(), 1);
    }
    let (sender, mut receiver) = mpsc::channel(1);
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    drop(sender.clone());
    assert_eq!(wait.wakes(), 0);
    sender.try_send(1).unwrap();
    assert_eq!((wait.wakes(), wait.ready()), (1, Some(1)));
    drop(wait);
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    drop(sender);
    assert_eq!((wait.wakes(), wait.ready()), (1, None), "the last sender goes");
}

#[test]
fn a_wait_that_is_given_up_loses_no_message() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(2);
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    sender.try_send(1).unwrap();
    drop(wait);
    assert_eq!(by_hand(receiver.recv()).ready(), Some(1));
    let mut taken = Vec::new();
    let mut wait = by_hand(receiver.recv_many(&mut taken, 5));
    assert!(wait.is_pending());
    sender.try_send(2).unwrap();
    drop(wait);
    assert!(taken.is_empty());
    assert_eq!(receiver.try_recv(), Ok(2));
    runtime().block_on(async {
        let other = async { tokio::task::yield_now().await };
        tokio::select! {
            biased;
            _ = receiver.recv() => panic!("there is nothing"),
            () = other => {}
        }
        sender.send(3).await.unwrap();
        tokio::select! {
            biased;
            received = receiver.recv() => assert_eq!(received, Some(3)),
            () = std::future::pending() => {}
        }
    });
}

#[test]
fn a_sender_waits_for_a_place_and_gives_it_up_when_cancelled() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(1);
    by_hand(sender.send(1)).ready().unwrap();
    let value = Arc::new(2);
    let (other, mut other_receiver) = mpsc::channel(1);
    other.try_send(Arc::new(0)).unwrap();
    let mut cancelled = by_hand(other.send(Arc::clone(&value)));
    assert!(cancelled.is_pending());
    drop(cancelled);
    assert_eq!(Arc::strong_count(&value), 1, "what was not sent is dropped");
    assert_eq!(*other_receiver.try_recv().unwrap(), 0);
    assert_eq!(other_receiver.try_recv(), Err(TryRecvError::Empty), "and never comes");

    let (mut first, mut second) = (by_hand(sender.send(2)), by_hand(sender.send(3)));
    assert!(first.is_pending() && second.is_pending());
    assert_eq!(by_hand(receiver.recv()).ready(), Some(1));
    assert_eq!((first.wakes(), second.wakes()), (1, 0), "the one that came first is next");
    drop(first);
    assert_eq!(second.wakes(), 1, "a place that is given up goes to the next");
    second.ready().unwrap();
    assert_eq!(receiver.try_recv(), Ok(3));
}

#[test]
fn places_are_kept_returned_and_used() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(3);
    let permit = by_hand(sender.reserve()).ready().unwrap();
    assert_eq!((sender.capacity(), sender.max_capacity(), receiver.len()), (2, 3, 0));
    drop(permit);
    assert_eq!(sender.capacity(), 3);
    by_hand(sender.reserve()).ready().unwrap().send(1);
    sender.try_reserve().unwrap().send(2);
    assert_eq!((sender.capacity(), receiver.capacity(), receiver.max_capacity(), receiver.len()), (1, 1, 3, 2));
    assert!(matches!(sender.try_reserve_many(2), Err(TrySendError::Full(()))));
    let _last = sender.try_reserve().unwrap();
    assert!(matches!(sender.try_reserve(), Err(TrySendError::Full(()))));
    let mut waits = by_hand(sender.reserve());
    assert!(waits.is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    waits.ready().unwrap().send(3);
    receiver.close();
    assert!(by_hand(sender.reserve()).ready().is_err());
    assert!(matches!(sender.try_reserve(), Err(TrySendError::Closed(()))));
}

#[test]
fn several_places_at_once() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(4);
    assert!(by_hand(sender.reserve_many(5)).ready().is_err(), "more than there can be");
    assert!(matches!(sender.try_reserve_many(5), Err(TrySendError::Full(()))));
    let mut permits = by_hand(sender.reserve_many(3)).ready().unwrap();
    assert_eq!((permits.len(), permits.size_hint(), sender.capacity()), (3, (3, Some(3)), 1));
    permits.next().unwrap().send(1);
    permits.next().unwrap().send(2);
    assert_eq!(format!("{permits:?}").split(' ').next(), Some("PermitIterator"));
    let mut waits = by_hand(sender.reserve_many(2));
    assert!(waits.is_pending());
    drop(permits);
    assert_eq!(waits.ready().unwrap().map(|permit| permit.send(3)).count(), 2);
    assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).collect::<Vec<_>>(), [1, 2, 3, 3]);
    let mut permits = sender.try_reserve_many(4).unwrap();
    assert!(permits.by_ref().take(4).count() == 4 && permits.next().is_none() && permits.next().is_none());
    assert_eq!(sender.capacity(), 4, "permits that are dropped are returned");
    assert_eq!(by_hand(sender.reserve_many(0)).ready().unwrap().count(), 0);
}

#[test]
fn owned_places() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(1);
    let (other, _other_receiver) = mpsc::channel::<i32>(1);
    let permit = by_hand(sender.clone().reserve_owned()).ready().unwrap();
    assert!(permit.same_channel_as_sender(&sender) && !permit.same_channel_as_sender(&other));
    assert!(!permit.same_channel(&other.clone().try_reserve_owned().unwrap()));
    let Err(TrySendError::Full(again)) = sender.clone().try_reserve_owned() else { panic!("it is full") };
    assert!(again.same_channel(&sender));
    assert!(permit.release().same_channel(&sender));
    assert_eq!(sender.capacity(), 1);
    let back = sender.clone().try_reserve_owned().unwrap().send(1);
    assert!(back.same_channel(&sender));
    let mut waits = by_hand(sender.clone().reserve_owned());
    assert!(waits.is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    let permit = waits.ready().unwrap();
    drop((waits, sender, again, back));
    assert!(!receiver.is_closed(), "a place keeps the channel open");
    assert_eq!(receiver.sender_strong_count(), 1);
    drop(permit.send(2));
    assert_eq!(by_hand(receiver.recv()).ready(), Some(2));
    assert_eq!(by_hand(receiver.recv()).ready(), None);
    drop(receiver);
    let (sender, receiver) = mpsc::channel::<u8>(1);
    drop(receiver);
    assert!(matches!(sender.try_reserve_owned(), Err(TrySendError::Closed(_))));
}

#[test]
fn a_value_that_cannot_be_sent_comes_back() {
    let _listening = listen();
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send("a").unwrap();
    assert_eq!(sender.try_send("b"), Err(TrySendError::Full("b")));
    drop(receiver);
    assert_eq!(sender.try_send("c"), Err(TrySendError::Closed("c")));
    assert_eq!(by_hand(sender.send("d")).ready(), Err(SendError("d")));
    assert_eq!(sender.blocking_send("e"), Err(SendError("e")));
    let (sender, receiver) = mpsc::unbounded_channel();
    drop(receiver);
    assert_eq!(sender.send("f"), Err(SendError("f")));
}

#[cfg(feature = "time")]
#[test]
fn a_send_waits_no_longer_than_its_timeout() {
    let _listening = listen();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.send_timeout(1, Duration::from_secs(1)).await.unwrap();
        let began = tokio::time::Instant::now();
        let result = sender.send_timeout(2, Duration::from_secs(1)).await;
        assert_eq!(result, Err(mpsc::error::SendTimeoutError::Timeout(2)));
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!(receiver.recv().await, Some(1));
        drop(receiver);
        let result = sender.send_timeout(3, Duration::from_secs(1)).await;
        assert_eq!(result, Err(mpsc::error::SendTimeoutError::Closed(3)));
    });
}

#[test]
fn several_messages_at_once() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut taken = vec![0];
    assert_eq!(by_hand(receiver.recv_many(&mut taken, 0)).ready(), 0, "a limit of none does not wait");
    (1..=5).for_each(|number| sender.send(number).unwrap());
    assert_eq!(by_hand(receiver.recv_many(&mut taken, 3)).ready(), 3);
    assert_eq!(by_hand(receiver.recv_many(&mut taken, 3)).ready(), 2);
    assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
    let mut more = Vec::new();
    let mut wait = by_hand(receiver.recv_many(&mut more, 10));
    assert!(wait.is_pending());
    sender.send(6).unwrap();
    assert_eq!((wait.wakes(), wait.ready()), (1, 1));
    drop((wait, sender));
    assert_eq!(by_hand(receiver.recv_many(&mut more, 10)).ready(), 0, "closed");
    assert_eq!(more, [6]);

    let (sender, mut receiver) = mpsc::channel(8);
    (1..=5).for_each(|number| sender.try_send(number).unwrap());
    let mut taken = Vec::new();
    assert_eq!(by_hand(receiver.recv_many(&mut taken, 2)).ready(), 2);
    assert_eq!(sender.capacity(), 5, "what was taken makes room");
    drop(sender);
    assert_eq!(by_hand(receiver.recv_many(&mut taken, 9)).ready(), 3);
    assert_eq!((taken, by_hand(receiver.recv_many(&mut Vec::new(), 9)).ready()), (vec![1, 2, 3, 4, 5], 0));
}

#[test]
fn polled_by_hand() {
    let _listening = listen();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let (sender, mut receiver) = mpsc::channel(4);
    let (unbounded, mut unbounded_receiver) = mpsc::unbounded_channel();
    for round in 0..50 {
        assert!(receiver.poll_recv(&mut cx).is_pending() && unbounded_receiver.poll_recv(&mut cx).is_pending());
        sender.try_send(round).unwrap();
        unbounded.send(round).unwrap();
        assert_eq!(wakes.0.swap(0, SeqCst), 2);
        assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(Some(round)));
        assert_eq!(unbounded_receiver.poll_recv(&mut cx), Poll::Ready(Some(round)));
        assert_eq!(wakes.0.load(SeqCst), 0);
    }
    let mut taken = Vec::new();
    assert!(receiver.poll_recv_many(&mut cx, &mut taken, 3).is_pending());
    assert!(unbounded_receiver.poll_recv_many(&mut cx, &mut taken, 3).is_pending());
    (0..4).for_each(|number| sender.try_send(number).unwrap());
    (4..8).for_each(|number| unbounded.send(number).unwrap());
    assert_eq!(receiver.poll_recv_many(&mut cx, &mut taken, 3), Poll::Ready(3));
    assert_eq!(unbounded_receiver.poll_recv_many(&mut cx, &mut taken, 5), Poll::Ready(4));
    assert_eq!(taken, [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(receiver.poll_recv_many(&mut cx, &mut taken, 0), Poll::Ready(0));
    drop((sender, unbounded));
    assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(Some(3)));
    assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(None));
    assert_eq!(unbounded_receiver.poll_recv(&mut cx), Poll::Ready(None));
    assert_eq!(receiver.poll_recv_many(&mut cx, &mut taken, 3), Poll::Ready(0));
}

#[test]
fn without_waiting() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(2);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert!(receiver.is_empty());
    sender.try_send(1).unwrap();
    assert!(!receiver.is_empty() && receiver.len() == 1);
    drop(sender);
    assert!(receiver.is_closed());
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
    let (sender, mut receiver) = mpsc::unbounded_channel();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send(1).unwrap();
    assert!(!receiver.is_empty() && receiver.len() == 1 && !receiver.is_closed());
    drop(sender);
    assert!(receiver.is_closed());
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
}

#[test]
fn closed_by_the_receiver() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(4);
    let mut closed = by_hand(sender.closed());
    assert!(closed.is_pending() && !sender.is_closed() && !receiver.is_closed());
    sender.try_send(1).unwrap();
    let permit = sender.try_reserve().unwrap();
    receiver.close();
    assert_eq!(closed.wakes(), 1);
    closed.ready();
    assert!(sender.is_closed() && receiver.is_closed());
    assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
    assert_eq!(by_hand(receiver.recv()).ready(), Some(1), "what is in it can be received");
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending(), "a place is still out");
    permit.send(3);
    assert_eq!((wait.wakes(), wait.ready()), (1, Some(3)));
    drop(wait);
    assert_eq!(by_hand(receiver.recv()).ready(), None);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(sender.send(2), Err(SendError(2)));
    by_hand(sender.closed()).ready();
    assert_eq!(by_hand(receiver.recv()).ready(), Some(1));
    assert_eq!(by_hand(receiver.recv()).ready(), None);
}

#[test]
fn a_place_that_is_returned_after_closing_ends_the_wait() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel::<u8>(2);
    let permits = sender.try_reserve_many(2).unwrap();
    receiver.close();
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    drop(permits);
    assert_eq!((wait.wakes(), wait.ready()), (1, None));
}

#[test]
fn senders_wait_until_the_receiver_is_dropped() {
    let _listening = listen();
    let (sender, receiver) = mpsc::channel(1);
    let (unbounded, unbounded_receiver) = mpsc::unbounded_channel::<u8>();
    sender.try_send(1).unwrap();
    let mut closed = by_hand(sender.closed());
    let mut unbounded_closed = by_hand(unbounded.closed());
    let mut send = by_hand(sender.send(2));
    assert!(closed.is_pending() && unbounded_closed.is_pending() && send.is_pending());
    drop((receiver, unbounded_receiver));
    assert_eq!((closed.wakes(), unbounded_closed.wakes(), send.wakes()), (1, 1, 1));
    closed.ready();
    unbounded_closed.ready();
    assert_eq!(send.ready(), Err(SendError(2)));
}

#[test]
fn weak_senders_do_not_keep_a_channel_open() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(2);
    let weak = sender.downgrade();
    let twice = weak.clone();
    assert_eq!((sender.strong_count(), sender.weak_count(), weak.strong_count(), weak.weak_count()), (1, 2, 1, 2));
    assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (1, 2));
    let upgraded = weak.upgrade().unwrap();
    assert!(upgraded.same_channel(&sender) && sender.strong_count() == 2);
    upgraded.try_send(1).unwrap();
    drop((sender, upgraded, twice));
    assert!(weak.upgrade().is_none());
    assert_eq!((weak.strong_count(), weak.weak_count()), (0, 1));
    assert_eq!(by_hand(receiver.recv()).ready(), Some(1));
    assert_eq!(by_hand(receiver.recv()).ready(), None);

    let (sender, mut receiver) = mpsc::unbounded_channel();
    let weak = sender.downgrade();
    let twice = weak.clone();
    assert_eq!((sender.strong_count(), sender.weak_count(), weak.strong_count(), weak.weak_count()), (1, 2, 1, 2));
    assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (1, 2));
    weak.upgrade().unwrap().send(1).unwrap();
    let mut wait = by_hand(receiver.recv());
    assert_eq!(wait.ready(), Some(1));
    drop(wait);
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    drop((sender, twice));
    assert_eq!((wait.wakes(), wait.ready()), (1, None));
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_is_inside_is_dropped_with_the_receiver() {
    let _listening = listen();
    let value = Arc::new(());
    let (sender, receiver) = mpsc::unbounded_channel();
    let (bounded, bounded_receiver) = mpsc::channel(3);
    for _ in 0..3 {
        sender.send(Arc::clone(&value)).unwrap();
        bounded.try_send(Arc::clone(&value)).unwrap();
    }
    drop((receiver, bounded_receiver));
    assert_eq!(Arc::strong_count(&value), 1, "although there are senders");
    assert!(sender.send(Arc::clone(&value)).is_err() && bounded.try_send(Arc::clone(&value)).is_err());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn from_threads_that_block() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel(1);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            std::thread::spawn(move || (0..50).for_each(|number| sender.blocking_send(number).unwrap()))
        })
        .collect();
    drop(sender);
    let mut sum = 0;
    for _ in 0..100 {
        sum += receiver.blocking_recv().unwrap();
    }
    let mut taken = Vec::new();
    while receiver.blocking_recv_many(&mut taken, 7) > 0 {}
    sum += taken.iter().sum::<i32>();
    assert_eq!((sum, receiver.blocking_recv()), (4 * (0..50).sum::<i32>(), None));
    for thread in threads {
        thread.join().unwrap();
    }
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let thread = std::thread::spawn(move || (receiver.blocking_recv(), receiver.blocking_recv_many(&mut Vec::new(), 9)));
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(thread.join().unwrap(), (Some(1), 0));
}

#[test]
fn blocking_inside_of_a_runtime_panics() {
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let (_unbounded, mut unbounded_receiver) = mpsc::unbounded_channel::<u8>();
    runtime().block_on(async {
        let why = "Cannot block the current thread from within a runtime";
        assert!(panic_of(|| _ = sender.blocking_send(1)).starts_with(why));
        assert!(panic_of(|| _ = receiver.blocking_recv()).starts_with(why));
        assert!(panic_of(|| _ = receiver.blocking_recv_many(&mut Vec::new(), 1)).starts_with(why));
        assert!(panic_of(|| _ = unbounded_receiver.blocking_recv()).starts_with(why));
        assert!(panic_of(|| _ = unbounded_receiver.blocking_recv_many(&mut Vec::new(), 1)).starts_with(why));
    });
}

#[test]
fn a_channel_without_places_panics() {
    let _listening = listen();
    assert_eq!(panic_of(|| drop(mpsc::channel::<u8>(0))), "mpsc bounded channel requires buffer > 0");
}

#[test]
fn senders_know_their_channel() {
    let _listening = listen();
    let (sender, _receiver) = mpsc::channel::<u8>(1);
    let (other, _other_receiver) = mpsc::channel::<u8>(1);
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
    let (sender, _receiver) = mpsc::unbounded_channel::<u8>();
    let (other, _other_receiver) = mpsc::unbounded_channel::<u8>();
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
}

#[test]
fn messages_need_not_be_static_nor_leave_their_thread() {
    let _listening = listen();
    let text = String::from("borrowed");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(text.as_str()).unwrap();
    assert_eq!(receiver.try_recv(), Ok("borrowed"));
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(Rc::new(text.as_str())).unwrap();
    assert_eq!(**receiver.try_recv().unwrap(), *"borrowed");
}

#[test]
fn handles_go_everywhere() {
    fn handle<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>(handle: T) -> T {
        handle
    }
    fn unpin<T: Unpin + UnwindSafe + RefUnwindSafe>(_: T) {}
    fn sends<F: Future + Send>(_: F) {}
    /// Neither `Sync`, `Unpin` nor safe in an unwinding.
    struct Difficult(#[expect(dead_code, reason = "it is its type that counts")] *mut u8, std::marker::PhantomPinned);
    let _listening = listen();
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let (unbounded, mut unbounded_receiver) = mpsc::unbounded_channel::<u8>();
    handle(sender.downgrade());
    handle(unbounded.downgrade());
    sends(sender.send(1));
    sends(sender.reserve());
    sends(sender.reserve_many(1));
    sends(sender.clone().reserve_owned());
    sends(sender.closed());
    sends(receiver.recv());
    sends(receiver.recv_many(&mut Vec::new(), 1));
    sends(unbounded_receiver.recv());
    sends(unbounded_receiver.recv_many(&mut Vec::new(), 1));
    handle((sender, receiver, unbounded, unbounded_receiver));
    let (sender, receiver) = mpsc::channel::<Difficult>(1);
    let (unbounded, unbounded_receiver) = mpsc::unbounded_channel::<Difficult>();
    unpin((sender, receiver, unbounded, unbounded_receiver));
}

#[test]
fn what_debugging_shows() {
    let _listening = listen();
    let (sender, receiver) = mpsc::channel::<u8>(1);
    let first_word = |text: String| text.split(' ').next().unwrap().to_owned();
    assert_eq!(first_word(format!("{sender:?}")), "Sender");
    assert_eq!(first_word(format!("{receiver:?}")), "Receiver");
    assert_eq!(format!("{:?}", sender.downgrade()), "WeakSender");
    assert_eq!(first_word(format!("{:?}", sender.try_reserve().unwrap())), "Permit");
    assert_eq!(first_word(format!("{:?}", sender.clone().try_reserve_owned().unwrap())), "OwnedPermit");
    let (sender, receiver) = mpsc::unbounded_channel::<u8>();
    assert_eq!(first_word(format!("{sender:?}")), "UnboundedSender");
    assert_eq!(first_word(format!("{receiver:?}")), "UnboundedReceiver");
    assert_eq!(format!("{:?}", sender.downgrade()), "WeakUnboundedSender");
}

#[test]
fn a_receiver_lets_others_run_although_there_are_messages() {
    let _listening = listen();
    runtime().block_on(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        (0..1000).for_each(|number| sender.send(number).unwrap());
        let received = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&received);
        let other = tokio::spawn(async move { seen.load(SeqCst) });
        while received.load(SeqCst) < 1000 {
            receiver.recv().await.unwrap();
            received.fetch_add(1, SeqCst);
        }
        assert!(other.await.unwrap() < 1000, "tokio's cooperative budget was spent by receiving");
    });
}

#[test]
fn many_senders_on_many_threads() {
    const EACH: usize = 2000;
    let _listening = listen();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let received = runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(16);
        for producer in 0..8 {
            let sender = sender.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    match number % 4 {
                        0 => sender.reserve().await.unwrap().send((producer, number)),
                        1 => drop(sender.clone().reserve_owned().await.unwrap().send((producer, number))),
                        _ => sender.send((producer, number)).await.unwrap(),
                    }
                }
            });
        }
        drop(sender);
        let mut received = vec![Vec::new(); 8];
        while let Some((producer, number)) = receiver.recv().await {
            received[producer].push(number);
        }
        received
    });
    assert!(received.iter().all(|numbers| numbers.iter().copied().eq(0..EACH)), "each sender's order is kept");
}
