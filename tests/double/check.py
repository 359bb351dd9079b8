"""Drives the double of KurrentDB with the official Python client, which shares no code with the Rust client that our adapter uses.

Usage: check.py DOUBLE, the path of the program. `.ci/double` runs it.
"""

import json
import subprocess
import sys
from uuid import uuid4

from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient import exceptions

double = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
leader, follower = double.stdout.readline().split()
client = KurrentDBClient(f"kurrentdb://{leader}?Tls=false&DefaultDeadline=20")
passed = 0


def holds(what, fact):
    global passed
    if not fact:
        sys.exit(f"FAILED: {what}")
    passed += 1


def raises(what, kind, call):
    try:
        call()
    except kind as error:
        holds(what, True)
        return error
    except Exception as error:
        sys.exit(f"FAILED: {what}: {error!r} instead of {kind.__name__}")
    sys.exit(f"FAILED: {what}: nothing was raised")


def event(number, size=0):
    data = json.dumps({"number": number, "filler": "x" * size}).encode()
    return NewEvent(type="note.written.v1", data=data, metadata=b'{"recorded_at":1700000000123456}')


def append(stream, version, *events, by=client):
    """One append of one or several events: all or none."""
    return by.streams.append(
        stream_name=stream, current_version=version, events=events, timeout=20, metadata=client._call_metadata
    )


def positions(events):
    return [event.stream_position for event in events]


NO_STREAM, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS

# Appends at expected revisions.
first, second, third = event(0), event(1), event(2)
one = client.append_to_stream("note-1", current_version=NO_STREAM, events=first)
two = append("note-1", 0, second, third)
holds("positions rise", 0 < one < two)
holds("the current version is the last revision", client.get_current_version("note-1") == 2)
holds("a stream that is not there has no version", client.get_current_version("note-none") == NO_STREAM)

# Wrong expectations.
error = raises("too early", exceptions.WrongCurrentVersionError, lambda: append("note-1", 1, event(3)))
holds("the actual version is told", error.actual_version == 2)
raises("there already", exceptions.WrongCurrentVersionError, lambda: append("note-1", NO_STREAM, event(3)))
raises("too late", exceptions.WrongCurrentVersionError, lambda: append("note-1", 7, event(3)))
error = raises("not there", exceptions.WrongCurrentVersionError, lambda: append("note-none", 0, event(3)))
holds("that there is no stream is told", error.actual_version == NO_STREAM)
raises("must exist", exceptions.WrongCurrentVersionError, lambda: append("note-none", EXISTS, event(3)))
holds("nothing was appended", client.get_current_version("note-1") == 2)

# The same append again gives the first outcome; ids alone are compared.
holds("repeat of the first", append("note-1", NO_STREAM, first) == one)
holds("repeat of both", append("note-1", 0, second, third) == two)
append("note-1", 0, second)
holds("a repeat appends nothing", client.get_current_version("note-1") == 2)
raises("a repeat elsewhere", exceptions.WrongCurrentVersionError, lambda: append("note-1", 1, second))
raises("half a repeat", exceptions.WrongCurrentVersionError, lambda: append("note-1", 0, second, event(9)))
append("note-1", ANY, event(3))
append("note-1", EXISTS, event(4))

# A stream, forwards and backwards; the revision that is named is included.
found = client.get_stream("note-1")
holds("forwards", positions(found) == [0, 1, 2, 3, 4])
holds("as written", found[0].id == first.id and found[0].data == first.data and found[0].metadata == first.metadata)
holds("type and content type", (found[0].type, found[0].content_type) == ("note.written.v1", "application/json"))
holds("the time is told", found[0].recorded_at is not None)
holds("from a revision", positions(client.get_stream("note-1", stream_position=3)) == [3, 4])
holds("limited", positions(client.get_stream("note-1", stream_position=1, limit=2)) == [1, 2])
holds("beyond the end", positions(client.get_stream("note-1", stream_position=9)) == [])
holds("backwards", positions(client.get_stream("note-1", backwards=True)) == [4, 3, 2, 1, 0])
holds("backwards from a revision", positions(client.get_stream("note-1", stream_position=2, backwards=True)) == [2, 1, 0])
raises("no such stream", exceptions.NotFoundError, lambda: client.get_stream("note-none"))
raises("no such stream, backwards", exceptions.NotFoundError, lambda: client.get_stream("note-none", backwards=True))

# All streams: positions rise, with the server's own records in between.
append("poll-1", NO_STREAM, event(0))
everything = list(client.read_all(filter_exclude=()))
places = [event.commit_position for event in everything]
holds("in order", places == sorted(set(places)))
holds("not dense", all(after - before > 1 for before, after in zip(places, places[1:])))
holds("prepared where committed", all(event.prepare_position == event.commit_position for event in everything))
own = [event for event in everything if event.type.startswith("$")]
ours = [event for event in everything if not event.type.startswith("$")]
holds("the server's own records are there", len(own) >= 3 and everything[0].type.startswith("$"))
holds("ours are in the order of appends", [event.stream_name for event in ours] == ["note-1"] * 5 + ["poll-1"])
holds("positions are those of the appends", ours[0].commit_position == one and ours[2].commit_position == two)
middle = len(places) // 2
rest = [event.commit_position for event in client.read_all(commit_position=places[middle], filter_exclude=())]
holds("from a position, included", rest == places[middle:])
few = [event.commit_position for event in client.read_all(commit_position=places[middle], filter_exclude=(), limit=2)]
holds("limited", few == places[middle : middle + 2])
back = [event.commit_position for event in client.read_all(backwards=True, filter_exclude=())]
holds("backwards", back == places[::-1])
back = [event.commit_position for event in client.read_all(commit_position=places[middle], backwards=True, filter_exclude=())]
holds("backwards from a position, which is left out", back == places[:middle][::-1])
back = [event.commit_position for event in client.read_all(commit_position=places[middle], backwards=True, filter_exclude=(), limit=2)]
holds("backwards, limited", back == places[middle - 2 : middle][::-1])
polls = list(client.read_all(filter_include=("poll-",), filter_by_stream_name=True, filter_by_prefix=True))
holds("by the stream's prefix", [event.stream_name for event in polls] == ["poll-1"])
notes = list(client.read_all(filter_include=("note.",), filter_by_prefix=True))
holds("by the type's prefix", len(notes) == 6)
notes = list(client.read_all(filter_include=("note-", "poll-"), filter_by_stream_name=True, filter_by_prefix=True, backwards=True, limit=3))
holds("by prefixes, backwards, limited", [event.stream_name for event in notes] == ["poll-1", "note-1", "note-1"])
notes = list(client.read_all(filter_include=("note-1", "poll-2"), filter_by_stream_name=True))
holds("by the stream's name as an expression", [event.stream_name for event in notes] == ["note-1"] * 5)
notes = list(client.read_all(filter_include=(r"note\.written\.v\d+",)))
holds("by the type's name as an expression", len(notes) == 6)
holds("without the server's own, as is usual", [event.id for event in client.read_all()] == [event.id for event in ours])
notes = list(client.read_all(commit_position=places[middle], filter_include=("note-",), filter_by_stream_name=True, filter_by_prefix=True))
holds("a filter from a position", [event.commit_position for event in notes] == [e.commit_position for e in ours if e.commit_position >= places[middle] and e.stream_name == "note-1"])
refused = (
    ("ReadAllResult", dict(filter_exclude=())),
    ("ReadAllResult", dict(filter_exclude=(), backwards=True)),
    ("FilteredReadAllResult", dict(filter_include=("note-",), filter_by_stream_name=True, filter_by_prefix=True)),
)
for result, how in refused:
    error = raises("a position of no record", exceptions.KurrentDBClientError, lambda: list(client.read_all(commit_position=places[middle] + 1, **how)))
    holds("it is told by name", f"Unexpected {result}: " in str(error))
holds("behind the end there is nothing", list(client.read_all(commit_position=places[-1] + 1_000_000, filter_exclude=())) == [])
holds("the last position", client.get_commit_position(filter_exclude=()) == places[-1])

# Names, and sizes up to the limit.
append("note-Ä-日本-🦀", NO_STREAM, event(0))
holds("a name in Unicode", client.get_stream("note-Ä-日本-🦀")[0].stream_name == "note-Ä-日本-🦀")
large = event(0, 8 << 20)
append("note-large", NO_STREAM, large)
holds("8 MiB come back", client.get_stream("note-large")[0].data == large.data)
raises("too large", exceptions.KurrentDBClientError, lambda: append("note-larger", NO_STREAM, event(0, 16 << 20)))
holds("and nothing of it is there", client.get_current_version("note-larger") == NO_STREAM)
batch = [event(number) for number in range(2_000)]
append("note-many", NO_STREAM, *batch)
holds("2,000 in one append", [event.id for event in client.get_stream("note-many")] == [event.id for event in batch])
raises("no name", exceptions.KurrentDBClientError, lambda: append("", NO_STREAM, event(0)))

# A batch: one append of several events, whose refusals stand in the answer.
several = [event(number) for number in range(3)]
done = client.append_to_stream("note-batch", current_version=NO_STREAM, events=several)
holds("a batch is appended", [event.id for event in client.get_stream("note-batch")] == [event.id for event in several])
holds("the position is that of its last event", client.get_stream("note-batch")[2].commit_position == done)
holds("a batch again gives the same", client.append_to_stream("note-batch", current_version=NO_STREAM, events=several) == done)
error = raises("too late for a batch", exceptions.WrongCurrentVersionError, lambda: client.append_to_stream("note-batch", current_version=1, events=[event(3)]))
holds("the actual version is told", error.actual_version == 2)
error = raises("no stream for a batch", exceptions.WrongCurrentVersionError, lambda: client.append_to_stream("note-none", current_version=0, events=[event(3)]))
holds("that there is none is told", error.actual_version == NO_STREAM)
client.append_to_stream("note-batch", current_version=2, events=[event(3)])
client.append_to_stream("note-batch", current_version=ANY, events=[event(4)])
client.append_to_stream("note-batch", current_version=EXISTS, events=[event(5)])
holds("batches follow each other", client.get_current_version("note-batch") == 5)

# Expectations of a deletion.
append("note-del", NO_STREAM, event(0), event(1))
raises("deleted too early", exceptions.WrongCurrentVersionError, lambda: client.delete_stream("note-del", current_version=0))
raises("deleted before it was", exceptions.NotFoundError, lambda: client.delete_stream("note-none", current_version=EXISTS))
raises("never there", exceptions.NotFoundError, lambda: client.delete_stream("note-none", current_version=ANY))
client.delete_stream("note-del", current_version=1)
raises("a deleted stream is not found", exceptions.NotFoundError, lambda: client.get_stream("note-del"))
holds("nor has it a version", client.get_current_version("note-del") == NO_STREAM)
raises("it does not exist", exceptions.WrongCurrentVersionError, lambda: append("note-del", EXISTS, event(2)))
append("note-del", NO_STREAM, event(2))
holds("it goes on behind what is hidden", positions(client.get_stream("note-del")) == [2])
holds("backwards too", positions(client.get_stream("note-del", backwards=True)) == [2])
hidden = client.read_all(filter_include=("note-del",), filter_by_stream_name=True, filter_by_prefix=True)
holds("the log forgets nothing", positions(hidden) == [0, 1, 2])
holds("the server wrote that down", [event.type for event in client.get_stream("$$note-del")] == ["$metadata"] * 2)

# A stream that is deleted for ever.
append("note-gone", NO_STREAM, event(0))
raises("too early for ever", exceptions.WrongCurrentVersionError, lambda: client.tombstone_stream("note-gone", current_version=7))
client.tombstone_stream("note-gone", current_version=0)
raises("not twice", exceptions.StreamIsDeletedError, lambda: client.tombstone_stream("note-gone", current_version=ANY))
raises("a batch finds it deleted", exceptions.StreamIsDeletedError, lambda: client.append_to_stream("note-gone", current_version=ANY, events=[event(1)]))
raises("a deleted stream is not read", exceptions.StreamIsDeletedError, lambda: client.get_stream("note-gone"))
raises("a deleted stream is not written", exceptions.KurrentDBClientError, lambda: append("note-gone", ANY, event(1)))

# Catching up: from a position on, that one left out, and then what comes.
append("tail-1", NO_STREAM, event(0), event(1))
with client.subscribe_to_stream("tail-1", timeout=20) as tail:
    holds("a stream from its beginning", [next(tail).stream_position for _ in range(2)] == [0, 1])
    append("tail-1", 1, event(2))
    holds("and what comes", next(tail).stream_position == 2)
with client.subscribe_to_stream("tail-1", stream_position=1, timeout=20) as tail:
    holds("a stream behind a revision", next(tail).stream_position == 2)
begin = client.get_stream("tail-1")[1].commit_position
only = dict(filter_include=("tail-",), filter_by_stream_name=True, filter_by_prefix=True)
with client.subscribe_to_all(commit_position=begin, timeout=20, **only) as tail:
    holds("all behind a position", next(tail).stream_position == 2)
    append("tail-2", NO_STREAM, event(0))
    holds("and what comes", next(tail).stream_name == "tail-2")
with client.subscribe_to_all(from_end=True, timeout=20) as tail:
    append("tail-3", NO_STREAM, event(0))
    holds("only what comes", next(tail).stream_name == "tail-3")
with client.subscribe_to_all(commit_position=begin, include_checkpoints=True, include_caught_up=True, timeout=20, **only) as tail:
    kinds = [type(next(tail)).__name__ for _ in range(5)]
    holds("a checkpoint when it goes live", kinds == ["RecordedEvent"] * 3 + ["Checkpoint", "CaughtUp"])
error = raises("no position for a subscription", exceptions.KurrentDBClientError, lambda: next(client.subscribe_to_all(commit_position=begin + 1, filter_exclude=(), timeout=20)))
holds("there it is an invalid argument", "invalid position" in repr(error))

# A cluster: the members are told, the leader is found, a follower sends there.
members = {f"{member.address}:{member.port}": member.state for member in client.read_gossip()}
holds("two members", set(members) >= {leader} and members[leader] == "NODE_STATE_LEADER")
cluster = KurrentDBClient(f"kurrentdb://{follower},{leader}?Tls=false&DefaultDeadline=20")
holds("the leader is preferred", cluster.connection_target == leader)
cluster.append_to_stream("note-cluster", current_version=NO_STREAM, events=event(0))
cluster.close()
through = KurrentDBClient(f"kurrentdb://{follower}?Tls=false&DefaultDeadline=20")
error = raises("a follower names the leader", exceptions.NodeIsNotLeaderError, lambda: append("note-cluster", 0, event(1), by=through))
holds("by its address", f"{error.host}:{error.port}" == leader)
through.close()

client.close()
double.stdin.close()
double.wait(10)
print(f"{passed} facts hold")
