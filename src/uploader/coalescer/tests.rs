use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::uploader::accounting::Accounting;
use crate::{Batch, CustomEvent, CustomEventType, Environment};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Adds an event of a user to its open batch, or to a new one.
    Track(usize),
    Take(usize),
    PopOldest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_usize).prop_map(Step::Track),
        1 => (0..6_usize).prop_map(Step::Take),
        1 => Just(Step::PopOldest),
    ]
}

fn user(number: usize) -> TemplateData {
    TemplateData::new(&Batch::new(Environment::Development).customer_id(number.to_string())).expect("a template")
}

fn event(user: &TemplateData, number: usize) -> EncodedEvent {
    let event = CustomEvent::new(number.to_string(), CustomEventType::Other).into();
    EncodedEvent::new(user, event, Uuid::nil, 0).expect("JSON")
}

/// Tracks an event like the queue does.
fn track(coalescer: &mut Coalescer, number: usize, of: usize) {
    let user = user(of);
    let tracked = event(&user, number);
    if coalescer.takes(&user, &tracked) {
        coalescer.add(user.key(), &tracked).expect("it is open");
    } else {
        let token = Accounting::default().accept(1, None, None);
        coalescer.open(PendingBatch::new(&user, Uuid::nil(), tracked), token);
    }
}

/// Returns the names of the events of a batch.
fn names(open: &OpenBatch) -> Vec<usize> {
    let json: serde_json::Value = serde_json::from_slice(open.batch.seal().json()).expect("JSON");
    let events = json["events"].as_array().expect("events");
    events
        .iter()
        .map(|event| event["data"]["event_name"].as_str().expect("a name").parse().expect("a number"))
        .collect()
}

proptest! {
    #[test]
    fn open_batches_are_popped_in_the_order_of_their_first_events(steps in vec(step(), 0..200)) {
        let mut coalescer = Coalescer::default();
        let mut model: Vec<(usize, Vec<usize>)> = Vec::new();
        let steps = steps.into_iter().chain([Step::PopOldest; 7]);
        for (number, step) in steps.enumerate() {
            let (taken, expected) = match step {
                Step::Track(of) => {
                    track(&mut coalescer, number, of);
                    match model.iter_mut().find(|(user, _)| *user == of) {
                        Some((_, names)) => names.push(number),
                        None => model.push((of, vec![number])),
                    }
                    (None, None)
                }
                Step::Take(of) => {
                    let place = model.iter().position(|(user, _)| *user == of);
                    (coalescer.take(user(of).key()), place.map(|place| model.remove(place)))
                }
                Step::PopOldest => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    (coalescer.pop_oldest(), expected)
                }
            };
            prop_assert_eq!(taken.as_ref().map(names), expected.map(|(_, names)| names));
            let bytes = coalescer.open.values().map(|open| open.batch.seal().len()).sum();
            prop_assert_eq!(coalescer.amount(), Amount { batches: model.len(), bytes });
            prop_assert_eq!(coalescer.oldest().is_some(), !model.is_empty());
        }
        prop_assert!(model.is_empty());
    }
}

#[test]
fn taking_a_batch_preserves_the_order_of_the_others() {
    let mut coalescer = Coalescer::default();
    (0..4).for_each(|of| track(&mut coalescer, of, of));
    assert_eq!(coalescer.take(user(1).key()).as_ref().map(names), Some(vec![1]));
    assert!(coalescer.take(user(1).key()).is_none());
    // A new batch of the same user is the last one.
    track(&mut coalescer, 4, 1);
    track(&mut coalescer, 5, 2);
    let order: Vec<_> = std::iter::from_fn(|| coalescer.pop_oldest()).map(|open| names(&open)).collect();
    assert_eq!(order, [vec![0], vec![2, 5], vec![3], vec![4]]);
    assert_eq!((coalescer.amount(), coalescer.order.len()), (Amount::default(), 0));
}
