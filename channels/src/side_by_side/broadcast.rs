use broadcast::error::{RecvError, SendError, TryRecvError};

#[test]
fn each_receiver_gets_every_value() {
    let _listening = listen();
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    assert_eq!((sender.send(1).unwrap(), sender.send(2).unwrap(), sender.receiver_count()), (2, 2, 2));
    for receiver in [&mut first, &mut second] {
        assert_eq!((receiver.len(), receiver.is_empty()), (2, false));
        assert_eq!(by_hand(receiver.recv()).ready(), Ok(1));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
    }
    assert!(sender.is_empty() && first.is_empty());
    let mut late = sender.subscribe();
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty), "only what is sent from then on");
    drop(sender);
    assert_eq!(by_hand(late.recv()).ready(), Err(RecvError::Closed));
    assert_eq!(first.try_recv(), Err(TryRecvError::Closed));
    assert!(second.is_closed());
}

#[test]
fn who_falls_behind_loses_the_oldest() {
    let _listening = listen();
    let (sender, mut receiver) = broadcast::channel(3);
    (0..10).for_each(|number| _ = sender.send(number).unwrap());
    assert_eq!((receiver.len(), sender.len()), (10, 4), "the buffer has a power of two places");
    assert_eq!(by_hand(receiver.recv()).ready(), Err(RecvError::Lagged(6)));
    assert_eq!(receiver.len(), 4);
    assert_eq!(by_hand(receiver.recv()).ready(), Ok(6));
    (10..20).for_each(|number| _ = sender.send(number).unwrap());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(9)));
    assert_eq!(receiver.try_recv(), Ok(16));
    let mut again = receiver.resubscribe();
    assert_eq!((again.len(), receiver.len()), (0, 3));
    sender.send(20).unwrap();
    assert_eq!(again.try_recv(), Ok(20));
    assert!(again.same_channel(&receiver) && !again.same_channel(&broadcast::channel::<i32>(1).1));
}

#[test]
fn a_receiver_is_woken_once_and_may_give_up() {
    let _listening = listen();
    let (sender, mut receiver) = broadcast::channel(4);
    for number in 0..100 {
        let mut wait = by_hand(receiver.recv());
        assert!(wait.is_pending() && wait.is_pending() && wait.wakes() == 0);
        sender.send(number).unwrap();
        assert_eq!((wait.wakes(), wait.ready()), (1, Ok(number)));
        drop(wait);
        let mut wait = by_hand(receiver.recv());
        assert!(wait.is_pending());
        sender.send(number).unwrap();
        drop(wait);
        assert_eq!(receiver.try_recv(), Ok(number), "a wait that is given up loses nothing");
    }
    let mut wait = by_hand(receiver.recv());
    assert!(wait.is_pending());
    drop(sender);
    assert_eq!((wait.wakes(), wait.ready()), (1, Err(RecvError::Closed)));
}

#[test]
fn without_receivers_nothing_is_sent() {
    let _listening = listen();
    let sender = broadcast::Sender::new(2);
    assert!(matches!(sender.send(1), Err(SendError(1))));
    by_hand(sender.closed()).ready();
    let mut receiver = sender.subscribe();
    let mut closed = by_hand(sender.closed());
    assert!(closed.is_pending());
    assert_eq!(sender.send(2).unwrap(), 1);
    assert_eq!(receiver.try_recv(), Ok(2));
    drop(receiver);
    assert_eq!(closed.wakes(), 1);
    closed.ready();
    assert!(sender.send(3).is_err());
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&broadcast::Sender::new(1)));
}

#[test]
fn weak_senders_do_not_keep_a_channel_open() {
    let _listening = listen();
    let (sender, mut receiver) = broadcast::channel(2);
    let weak = sender.downgrade();
    let twice = weak.clone();
    assert_eq!((sender.strong_count(), sender.weak_count(), weak.strong_count(), weak.weak_count()), (1, 2, 1, 2));
    assert_eq!((receiver.sender_strong_count(), receiver.sender_weak_count()), (1, 2));
    weak.upgrade().unwrap().send(1).unwrap();
    drop((sender, twice));
    assert!(weak.upgrade().is_none());
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Closed)));
    assert_eq!((weak.strong_count(), weak.weak_count()), (0, 1));
}

#[test]
fn from_threads_that_block() {
    let _listening = listen();
    let (sender, mut receiver) = broadcast::channel(64);
    let thread = std::thread::spawn(move || {
        std::iter::from_fn(|| receiver.blocking_recv().ok()).collect::<Vec<_>>()
    });
    (0..50).for_each(|number| _ = sender.send(number).unwrap());
    drop(sender);
    assert!(thread.join().unwrap().into_iter().eq(0..50));
    let (_sender, mut receiver) = broadcast::channel::<u8>(1);
    runtime().block_on(async {
        assert!(panic_of(|| _ = receiver.blocking_recv()).starts_with("Cannot block"));
    });
}

#[test]
fn capacities_that_cannot_be_panic() {
    let _listening = listen();
    assert_eq!(panic_of(|| drop(broadcast::channel::<u8>(0))), "broadcast channel capacity cannot be zero");
    let too_much = "broadcast channel capacity exceeded `usize::MAX / 2`";
    assert_eq!(panic_of(|| drop(broadcast::channel::<u8>(usize::MAX))), too_much);
    assert_eq!(panic_of(|| drop(broadcast::Sender::<u8>::new(usize::MAX))), too_much);
}

#[test]
fn handles_go_everywhere() {
    fn handle<T: Send + Sync + Unpin>(_: T) {}
    fn sends<F: Future + Send>(_: F) {}
    /// Not `Clone`, and not static: it can still be sent.
    struct Difficult<'a>(#[expect(dead_code, reason = "it is its type that counts")] &'a str);
    let _listening = listen();
    let (sender, mut receiver) = broadcast::channel::<u8>(1);
    sends(receiver.recv());
    sends(sender.closed());
    let shown = format!("{sender:?} {receiver:?} {:?}", sender.downgrade());
    assert_eq!(shown, "broadcast::Sender broadcast::Receiver broadcast::WeakSender");
    handle(sender.downgrade());
    handle((sender, receiver));
    let text = String::from("borrowed");
    assert!(broadcast::Sender::new(1).send(Difficult(&text)).is_err());
}

#[test]
fn what_is_inside_is_dropped_with_the_last_receiver_that_wants_it() {
    let _listening = listen();
    let value = Arc::new(());
    let (sender, mut first) = broadcast::channel(4);
    let second = sender.subscribe();
    sender.send(Arc::clone(&value)).unwrap();
    drop(first.try_recv().unwrap());
    assert_eq!(Arc::strong_count(&value), 2);
    drop(second);
    assert_eq!(Arc::strong_count(&value), 1);
}
