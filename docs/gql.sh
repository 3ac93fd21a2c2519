# What docs/tour.md types its commands with: `. docs/gql.sh`, in bash. Needs curl and Python 3.
#
#   gql member '{ me { name } }'                 asks as the member whose token is in $member,
#   gql staff 'query($id: ID!) { … }' id=mem_…   as the staff member of $staff,
#   gql till '{ viewer { name } }'               or as the partner of $till; variables are texts.
#   people members 0 wechat                      shows a part of what /sandbox/people answers.
#   message +8613800000005                       waits for a message to somebody, and shows it.
#   pick data me id                              says a part of the answer that came last.
#   show                                         shows the answer that came last.
#   listen "$member"                             says, line by line, what happens with their cards.

at=http://localhost:8000
answer='' # the last one

gql() {
  local path=/admin/graphql
  if [ "$1" = member ]; then path=/graphql; fi
  answer=$(
    python3 -c "$_request" "${@:2}" |
      curl -sS "$at$path" --data-binary @- \
        -H 'Content-Type: application/json' ${!1:+-H "Authorization: Bearer ${!1}"}
  )
  show
}

people() {
  answer=$(curl -sS "$at/sandbox/people")
  answer=$(pick "$@")
  show
}

message() {
  local tries
  for tries in {1..100}; do
    answer=$(curl -sS -G "$at/sandbox/messages" --data-urlencode "to=$1")
    answer=$(pick messages 0 2>/dev/null) && break
    sleep 0.1
  done
  pick text
}

pick() { python3 -c "$_pick" "$@" <<<"$answer"; }

show() { python3 -c "$_show" <<<"$answer"; }

# Speaks graphql-transport-ws; the `websockets` package comes with Regulars.
listen() { .venv/bin/python -c "$_listen" "$at" "$1"; }

_request='
import json, sys
document, *given = sys.argv[1:]
variables = dict(one.split("=", 1) for one in given)
print(json.dumps({"query": document, "variables": variables}))
'

# JSON with short things on one line, so that an answer fits a page.
_show='
import json, sys
def show(value, indent, room):
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= room or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        names = [json.dumps(name) + ": " for name in value]
        parts = [n + show(v, inner, 94 - len(inner + n)) for n, v in zip(names, value.values())]
    else:
        parts = [show(v, inner, 94 - len(inner)) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + ",".join("\n" + inner + part for part in parts) + "\n" + indent + closing
print(show(json.load(sys.stdin), "", 94))
'

_pick='
import json, sys
value = json.load(sys.stdin)
for step in sys.argv[1:]:
    value = value[int(step) if isinstance(value, list) else step]
print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
'

_listen='
import json, sys
from websockets.sync.client import connect
at, token = sys.argv[1:]
news = """subscription { memberEvents {
  __typename
  ... on CodeScanned { storeName terminalName }
  ... on PurchaseRecorded { purchase { orderNumber pointsEarned } }
  ... on PurchaseRefunded { purchase { orderNumber pointsTakenBack } }
} }"""
def say(text):
    print(text, flush=True)
with connect(at.replace("http", "ws", 1) + "/graphql", subprotocols=["graphql-transport-ws"]) as ws:
    def send(**message):
        ws.send(json.dumps(message))
    send(type="connection_init", payload={"authorization": f"Bearer {token}"})
    for text in ws:
        match json.loads(text):
            case {"type": "connection_ack"}:
                send(id="news", type="subscribe", payload={"query": news})
            case {"type": "next", "payload": {"data": data}}:
                say(json.dumps(data["memberEvents"], ensure_ascii=False))
            case {"type": "error", "payload": errors}:
                say(json.dumps(errors))
'
