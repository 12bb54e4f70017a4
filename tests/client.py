"""A client that is not ours: plain grpcio, with code generated from proto/ at run time.

    client.py PROTO_FOLDER HOST:PORT KEY COUNT

Sends COUNT events for customer c-1 over `Ingest`, the same again over `IngestStream`, and one bad event among good ones.
"""

import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

PROTO, ADDRESS, KEY, COUNT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

out = tempfile.mkdtemp()
well_known = pathlib.Path(protoc.__file__).parent / "_proto"
arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", "farthing/v1/ingest.proto"]
assert protoc.main(arguments) == 0
sys.path.insert(0, out)
from farthing.v1 import ingest_pb2, ingest_pb2_grpc  # noqa: E402


def event(number, **changes):
    fields = dict(id=f"py-{number}", source="python", type="call", customer="c-1", properties={"tokens": str(number)})
    made = ingest_pb2.Event(**{**fields, **changes})
    made.time.FromJsonString("2024-01-10T12:00:00.5Z")
    return made


metadata = [("authorization", f"Bearer {KEY}")]
with grpc.insecure_channel(ADDRESS) as channel:
    stub = ingest_pb2_grpc.IngestServiceStub(channel)
    batches = [range(start, min(start + 100, COUNT)) for start in range(0, COUNT, 100)]
    for batch in batches:
        answer = stub.Ingest(ingest_pb2.IngestRequest(events=[event(n) for n in batch], sequence=7), metadata=metadata)
        assert (answer.accepted, len(answer.rejected), answer.sequence) == (len(batch), 0, 7), answer

    requests = (ingest_pb2.IngestRequest(events=[event(n) for n in batch], sequence=i + 1) for i, batch in enumerate(batches))
    answers = list(stub.IngestStream(requests, metadata=metadata))
    assert sorted(a.sequence for a in answers) == list(range(1, len(batches) + 1)), answers
    assert sum(a.accepted for a in answers) == COUNT, answers

    bad = [event(0), event(COUNT, properties={"tokens": "NaN"}), event(1)]
    answer = stub.Ingest(ingest_pb2.IngestRequest(events=bad), metadata=metadata)
    assert answer.accepted == 2 and [r.index for r in answer.rejected] == [1], answer
    assert answer.rejected[0].field == "properties.tokens", answer

    try:
        stub.Ingest(ingest_pb2.IngestRequest(events=[event(0)]), metadata=[("authorization", "Bearer fk_wrong_key")])
        raise SystemExit("a wrong key was taken")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
print("ok")
