use super::*;

/// Something of the second era, written at 50.
struct Post;

impl Thing for Post {
    fn id(&self) -> &'static str {
        "1"
    }

    fn audience(&self) -> &'static str {
        "group:g:1"
    }

    fn written(&self) -> Timestamp {
        Timestamp::from_micros(50)
    }
}

fn key(era: u32, since: i64, until: i64) -> Key {
    Key { place: "group:g".to_owned(), first: era, last: era, since, until }
}

fn always(era: u32) -> Key {
    key(era, i64::MIN, i64::MAX)
}

/// Three comments and a reply of the second era; a comment and two replies of the fourth.
fn two_eras() -> Option<String> {
    let first = ByEra::added(None, 1, [3, 0], 1, [0, 1]);
    assert_eq!(first, None, "one era needs no more than totals");
    let second = ByEra::added(first.as_deref(), 1, [3, 1], 3, [1, 2]);
    assert_eq!(second.as_deref(), Some("[[1,3,1],[3,1,2]]"));
    second
}

fn seen(stored: Option<&str>, totals: [i64; 2], keys: &[Key]) -> Option<[i64; 2]> {
    ByEra::read(stored, 1, totals).seen(&Rights::of(keys), &Post, totals, &[1])
}

#[test]
fn a_reader_is_told_the_sum_of_the_eras_that_their_keys_open() {
    let stored = two_eras();
    for (keys, sum) in [
        (vec![always(1), always(2), always(3)], Some([4, 3])),
        (vec![always(1)], Some([3, 1])),
        (vec![], Some([0, 0])),
        // From before the thing on is as good as always.
        (vec![key(1, 50, i64::MAX), key(3, 50, i64::MAX)], Some([4, 3])),
        // For some time only, that cannot be told from the sums.
        (vec![always(1), key(3, 51, i64::MAX)], None),
        (vec![key(1, 0, 60)], None),
        // The replies of the fourth era may be to comments of the second, which is closed.
        (vec![always(3)], None),
    ] {
        assert_eq!(seen(stored.as_deref(), [4, 3], &keys), sum, "{keys:?}");
    }
    assert_eq!(seen(None, [3, 1], &[always(1)]), Some([3, 1]));
    assert_eq!(seen(None, [3, 1], &[always(3)]), Some([0, 0]));
}

#[test]
fn what_is_taken_back_leaves_the_only_era_it_can_be_of() {
    assert_eq!(ByEra::taken(None, 3, [1, 0]), None);
    let one = Some("[[1,3],[3,1]]".to_owned());
    assert_eq!(ByEra::taken(one.as_deref(), 2, [1]).as_deref(), Some("[[1,2],[3,1]]"), "it was not done later than it was taken back");
    let none_left = Some("[[1,0],[3,1]]".to_owned());
    assert_eq!(ByEra::taken(none_left.as_deref(), 3, [1]).as_deref(), Some("[[1,0],[3,0]]"));
    let mixed = ByEra::taken(one.as_deref(), 3, [1]);
    assert_eq!(mixed.as_deref(), Some("[[1],[3]]"));
    let seen = |keys: &[Key]| ByEra::read(mixed.as_deref(), 1, [3]).seen(&Rights::of(keys), &Post, [3], &[]);
    assert_eq!((seen(&[always(1), always(3)]), seen(&[always(1)]), seen(&[always(2)])), (Some([3]), None, Some([0])));
    // Nothing makes it known again.
    let more = ByEra::added(mixed.as_deref(), 1, [3], 4, [1]);
    assert_eq!(more.as_deref(), Some("[[1],[3],[4]]"));
}

#[test]
fn a_revision_is_for_whoever_may_read_all_that_was_done_since() {
    for (keys, follows) in [
        (vec![always(1), always(2), always(3)], true),
        (vec![always(1), key(2, 40, i64::MAX), key(3, 40, i64::MAX)], true),
        (vec![always(0), always(1)], true),
        (vec![always(1), always(3)], false),
        (vec![always(2), always(3)], false),
        (vec![always(1), key(2, 0, 60), key(2, 70, i64::MAX)], false),
        (vec![always(1), key(2, 51, i64::MAX)], false),
        (vec![], false),
    ] {
        assert_eq!(Rights::of(&keys).follow(Post.audience(), Post.written()), follows, "{keys:?}");
    }
}

#[test]
fn rights_are_whole_where_no_era_is_missing_and_none_is_open_for_some_time_only() {
    for (keys, whole, timed) in [
        (vec![always(0), always(1)], true, false),
        (vec![always(1)], false, false),
        (vec![always(0), key(1, 5, i64::MAX)], false, true),
        (vec![], true, false),
    ] {
        let rights = Rights::of(&keys);
        assert_eq!((rights.are_whole(), rights.are_timed()), (whole, timed), "{keys:?}");
        assert!(!rights.read("page:g:0", Timestamp::from_micros(1)));
    }
    let keys = [always(0), key(2, 5, 9)];
    let rights = Rights::of(&keys);
    assert_eq!(rights.closed("group:g", 0..4), ["group:g:1", "group:g:3"]);
    assert_eq!([4, 5, 8, 9].map(|at| rights.read("group:g:2", Timestamp::from_micros(at))), [false, true, true, false]);
}
