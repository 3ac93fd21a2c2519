# What docs/tour.md and docs/offers.md type their commands with: `. docs/gql.sh`, in bash. Needs curl and Python 3.
#
#   gql member '{ me { name } }'                 asks as the member whose token is in $member,
#   gql staff 'query($id: ID!) { … }' id=mem_…   as the staff member of $staff,
#   gql till '{ viewer { name } }'               or as the partner of $till. Variables are texts;
#   gql till 'query($n: Int!) { … }' n:=5        with := they are JSON.
#   people members 0 wechat                      shows a part of what /sandbox/people answers.
#   sign_in cashier                              signs a colleague in by both factors: $cashier.
#   sign_in_member 0                             signs a member in through WeChat: $member.
#   message +8613800000005                       waits for a message to somebody, and shows it.
#   pick data me id                              says a part of the answer that came last.
#   show                                         shows the answer that came last.
#   now                                          says the time, to the microsecond.
#   next_wednesday                               says when it is three o'clock then, in Shanghai.
#   page "$url"                                  shows the text of a page, a row on a line.
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

# As the tour does it step by step: the first factor's challenge, then a fresh code.
sign_in() {
  local nobody='' email="$1@regulars.example" challenge
  gql nobody 'mutation ($email: String!, $password: String!) {
    staffSessionStart(input: {email: $email, password: $password}) {
      ... on SecondFactorRequired { challenge }
      ... on Problem { __typename message }
    }
  }' email="$email" password=regulars-demo-2026 >/dev/null
  challenge=$(pick data staffSessionStart challenge)
  answer=$(curl -sS "$at/sandbox/people" | python3 -c "$_colleague" "$email")
  gql nobody 'mutation ($challenge: String!, $code: String!) {
    staffSessionConfirm(input: {challenge: $challenge, totpCode: $code}) {
      ... on StaffSessionStarted { accessToken staff { name } }
      ... on Problem { __typename message }
    }
  }' challenge="$challenge" code="$(pick totpCode)" >/dev/null
  printf -v "$1" %s "$(pick data staffSessionConfirm accessToken)"
  pick data staffSessionConfirm staff name
}

# Who of /sandbox/people's members, by their place in the list.
sign_in_member() {
  member=''
  people members "$1" >/dev/null
  gql member 'mutation ($app: String!, $code: String!) {
    sessionStartWithWechat(input: {appId: $app, jsCode: $code}) {
      ... on SessionStarted { accessToken member { name } }
      ... on Problem { __typename message }
    }
  }' app="$(pick wechat appId)" code="$(pick wechat jsCode)" >/dev/null
  member=$(pick data sessionStartWithWechat accessToken)
  pick data sessionStartWithWechat member name
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

now() { python3 -c 'from datetime import *; print(datetime.now(timezone.utc).isoformat())'; }
next_wednesday() { python3 -c "$_wednesday"; }

page() { curl -sS "$1" | python3 -c "$_page"; }

# Speaks graphql-transport-ws; the `websockets` package comes with Regulars.
listen() { .venv/bin/python -c "$_listen" "$at" "$1"; }

_request='
import json, sys
document, *given = sys.argv[1:]
def variable(one):
    name, value = one.split("=", 1)
    return (name[:-1], json.loads(value)) if name.endswith(":") else (name, value)
variables = dict(map(variable, given))
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

_colleague='
import json, sys
staff = json.load(sys.stdin)["staff"]
print(json.dumps(next(one for one in staff if one["email"] == sys.argv[1])))
'

_wednesday='
from datetime import datetime, timedelta, timezone
today = datetime.now(timezone(timedelta(hours=8))).replace(hour=15, minute=0, second=0, microsecond=0)
print((today + timedelta(days=(2 - today.weekday() - 1) % 7 + 1)).isoformat())
'

_page='
import re, signal, sys
from html import unescape
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as head ends what it has read enough of
rows = re.split(r"</(?:h1|h2|dd|tr|p)>", sys.stdin.read().partition("<body>")[2])
texts = (re.sub(r"<[^>]*>", " ", re.sub(r"</t[hd]>", " |", row)) for row in rows)
for text in texts:
    line = " ".join(unescape(text).split()).removesuffix(" |")
    if line:
        print(line)
'

_listen='
import json, signal, sys
from websockets.sync.client import connect
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody listens any more: end without a word
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
