use watch::error::SendError;

#[test]
fn the_last_value_is_seen_once() {
    let _listening = listen();
    let (sender, mut receiver) = watch::channel(0);
    assert_eq!((*receiver.borrow(), receiver.has_changed().unwrap()), (0, false), "the first value counts as seen");
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert!(receiver.has_changed().unwrap() && receiver.borrow().has_changed());
    by_hand(receiver.changed()).ready().unwrap();
    assert!(!receiver.has_changed().unwrap());
    assert_eq!(*receiver.borrow(), 2);
    assert!(by_hand(receiver.changed()).is_pending());
    sender.send(3).unwrap();
    assert_eq!(*receiver.borrow_and_update(), 3);
    assert!(by_hand(receiver.changed()).is_pending());
    receiver.mark_changed();
    by_hand(receiver.changed()).ready().unwrap();
    sender.send(4).unwrap();
    receiver.mark_unchanged();
    assert!(by_hand(receiver.changed()).is_pending());
    drop(sender);
    assert!(by_hand(receiver.changed()).ready().is_err() && receiver.has_changed().is_err() && receiver.is_closed());
    assert_eq!(*receiver.borrow(), 4, "the value stays");
}

#[test]
fn a_receiver_is_woken_once_and_may_give_up() {
    let _listening = listen();
    let (sender, mut receiver) = watch::channel(0);
    for number in 1..100 {
        let mut wait = by_hand(receiver.changed());
        assert!(wait.is_pending() && wait.is_pending() && wait.wakes() == 0);
        sender.send(number).unwrap();
        assert_eq!(wait.wakes(), 1);
        drop(wait);
        by_hand(receiver.changed()).ready().unwrap();
        assert_eq!(*receiver.borrow(), number);
    }
    let mut wait = by_hand(receiver.changed());
    assert!(wait.is_pending());
    drop(sender);
    assert_eq!(wait.wakes(), 1);
    assert!(wait.ready().is_err());
}

#[test]
fn waiting_for_a_value_that_pleases() {
    let _listening = listen();
    let (sender, mut receiver) = watch::channel(0);
    assert_eq!(*by_hand(receiver.wait_for(|value| *value == 0)).ready().unwrap(), 0, "the present one is looked at");
    let mut wait = by_hand(receiver.wait_for(|value| *value > 2));
    assert!(wait.is_pending());
    sender.send(1).unwrap();
    assert!(wait.wakes() == 1 && wait.is_pending());
    sender.send(3).unwrap();
    assert_eq!(*wait.ready().unwrap(), 3);
    drop(wait);
    drop(sender);
    assert!(by_hand(receiver.wait_for(|_| false)).ready().is_err());
    assert_eq!(panic_of(|| drop(by_hand(receiver.wait_for(|_| panic!("not poisoned"))).ready())), "not poisoned");
    assert_eq!(*receiver.borrow(), 3);
}

#[test]
fn all_ways_to_send() {
    let _listening = listen();
    let (sender, receiver) = watch::channel(1);
    assert_eq!(sender.send_replace(2), 1);
    sender.send_modify(|value| *value += 1);
    assert!(sender.send_if_modified(|value| std::mem::replace(value, 9) != 9));
    assert!(!sender.send_if_modified(|value| std::mem::replace(value, 9) != 9));
    assert_eq!((*sender.borrow(), *receiver.borrow()), (9, 9));
    assert_eq!(panic_of(|| sender.send_modify(|_| panic!("not poisoned"))), "not poisoned");
    assert_eq!(*sender.borrow(), 9);
    drop(receiver);
    assert_eq!(sender.send(10), Err(SendError(10)));
    assert_eq!(*sender.borrow(), 9, "what nobody receives is not kept");
    assert_eq!(sender.send_replace(10), 9);
    assert!(!sender.subscribe().has_changed().unwrap(), "who subscribes has seen the last value");
}

#[test]
fn handles_are_counted() {
    let _listening = listen();
    let (sender, mut receiver) = watch::channel(0);
    let mut closed = by_hand(sender.closed());
    assert!(closed.is_pending() && !sender.is_closed());
    sender.send(1).unwrap();
    let mut clone = receiver.clone();
    assert!(clone.has_changed().unwrap(), "a clone has seen what the original has");
    assert_eq!((sender.receiver_count(), sender.sender_count(), sender.clone().sender_count()), (2, 1, 2));
    assert!(clone.same_channel(&receiver) && !clone.same_channel(&watch::channel(0).1));
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&watch::Sender::default()));
    by_hand(clone.changed()).ready().unwrap();
    by_hand(receiver.changed()).ready().unwrap();
    drop((receiver, clone));
    assert_eq!(closed.wakes(), 1);
    closed.ready();
    assert!(sender.is_closed() && sender.receiver_count() == 0);
    assert_eq!((*watch::Sender::new(3).borrow(), *watch::Sender::<u8>::default().borrow()), (3, 0));
}

#[test]
fn handles_go_everywhere() {
    fn handle<T: Send + Sync + Unpin>(_: T) {}
    fn sends<F: Future + Send>(_: F) {}
    let _listening = listen();
    let (sender, mut receiver) = watch::channel(1_u8);
    sends(receiver.changed());
    sends(sender.closed());
    let shown = format!("{sender:?} {receiver:?}");
    assert!(shown.starts_with("Sender {") && shown.contains("Receiver {"), "{shown}");
    handle((sender, receiver));
    let text = String::from("borrowed");
    let (_sender, receiver) = watch::channel(std::rc::Rc::new(text.as_str()));
    assert_eq!(**receiver.borrow(), "borrowed");
}
