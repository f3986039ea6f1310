"""Talks to the broker with nothing but its address: every message type comes from gRPC reflection.

Its channels lie below the port's number, so that the nodes of one cluster may be asked one after another.

usage: python3 reflection.py HOST:PORT
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

TIMEOUT = 30


def main(address):
    root = "/python/" + address.rsplit(":", 1)[1]
    name = root + "/a"
    channel = grpc.insecure_channel(address)
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    assert {"halley.v1.Broker", "grpc.health.v1.Health"} <= services, services
    pool = descriptor_pool.DescriptorPool(database)

    def call(service, name, **fields):
        method = pool.FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(method.input_type)(**fields)
        answer = message_factory.GetMessageClass(method.output_type)
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        stub = kind(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return stub(request, timeout=TIMEOUT)

    def broker(name, **fields):
        return call("halley.v1.Broker", name, **fields)

    assert call("grpc.health.v1.Health", "Check").status == 1, "SERVING"

    deliveries = broker("Subscribe", channels=[root + "/*"], since="latest")
    opening = next(deliveries)
    assert opening.WhichOneof("delivery") == "progress" and opening.progress.cursor, opening

    first = broker("Publish", channel=name, data=b'{"n": 1}', type="tick")
    assert (first.channel, first.offset, first.duplicate) == (name, 1, False), first
    batch = broker(
        "PublishBatch",
        events=[
            {"channel": name, "data": b"2"},
            {"channel": "no-slash", "data": b"3"},
        ],
    )
    assert batch.results[0].result.offset == 2, batch
    assert batch.results[1].error.code == "channel_invalid", batch

    seen = []
    while len(seen) < 2:
        delivery = next(deliveries)
        kind = delivery.WhichOneof("delivery")
        assert kind in ("event", "progress"), delivery
        if kind == "event":
            seen.append((delivery.event.offset, delivery.event.type, delivery.event.data))
    assert seen == [(1, "tick", b'{"n":1}'), (2, "", b"2")], seen
    deliveries.cancel()

    history = broker("History", channel=name, limit=1)
    assert [event.offset for event in history.events] == [1] and history.cursor, history
    info = broker("GetChannel", channel=name)
    assert (info.first_offset, info.next_offset, info.events) == (1, 3, 2), info
    page = broker("ListChannels", pattern=root + "/*")
    assert [info.channel for info in page.channels] == [name], page
    assert broker("DeleteChannel", channel=name).existed

    try:
        broker("GetChannel", channel=name)
        raise AssertionError("a deleted channel was found")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert b"not_found" in details and b"halley" in details, details
    print("reflection: all as documented")


main(sys.argv[1])
