"""Filters made at random, in both spellings, of the fields that the index has and values that occur in a bucket."""

import random

WORDS = ["", "GET", "POST", "get", "http", "HTTP", "1.1", "text/html", "application/json", "/", "/1", ".json", "index", "a", "shop", "catalogue", "it's", "\\",
         "%", "_", "é", "No Error", "Query", "127.0.0.1", "10.0.0.1", "::1", "udp", "true", "false", "null", "200", "404", "0", "-1", "80", "$", "${x}", "--", "';"]
NUMBERS = [0, 1, -1, 2, 53, 80, 200, 201, 204, 301, 404, 499, 500, 512, 8080, 65535, 1 << 31, (1 << 63) - 1, -(1 << 63) + 1]
PATTERNS = [r"^/", r"json$", r"^/[0-9]+\\.json$", r"^$", r".", r"a|b", r"(?i)GET", r"^(GET|POST)$", r"[^a-z]", r"\\d+", r"\\w{3,}", r"^.{1,4}$", r"n=[0-9]*7",
            r"(ab)*", r"\\s", r"\\.", r"x{2}", r"^1", r"0$", r"^2..$", r"\\Qa.b\\E", r"é|ß", r"[\\x00-\\x7f]$"]

TEXTS2 = ["method", "url", "path", "http_version", "src.name", "dst.name", "src.namespace", "dst.namespace", "src.pod.name", "dst.service.name", "src.ip",
          "dst.ip", "protocol", "grpc_method", "src.dns", "dst.pod.namespace", "redis_type", "kafka_client_id", "mysql_query"]
NUMBERS2 = ["status_code", "src.port", "dst.port", "elapsed_time", "request_size", "response_size", "index", "conn_id", "request_body_size", "response_body_size",
            "dns_request_length", "dns_total_size", "grpc_status", "kafka_api_key", "request_headers_size", "mysql_error_code"]
TRUTHS2 = ["http", "dns", "tls", "udp", "redis", "http2", "gql", "grpc", "dns_request", "dns_response", "has_pcap", "mysql_success", "ws", "true", "false"]

TEXTS1 = ["request.method", "request.url", "request.path", "request.httpVersion", "response.statusText", "response.content.mimeType", "response.code", "request.opCode",
          "src.name", "dst.name", "src.namespace", "dst.service.metadata.name", "src.pod.metadata.name", "dst.ip", "request.postData.mimeType", "response.redirectURL",
          "request.command", "request.query"]
NUMBERS1 = ["response.status", "response.rcode", "request.id", "response.id", "src.port", "dst.port", "elapsedTime", "requestSize", "responseSize", "size", "index",
            "request.bodySize", "response.bodySize", "request.headersSize", "missingBytes", "timestamp", "response.content.size"]
TRUTHS1 = ["http", "dns", "tls", "udp", "redis", "http2", "gql", "passed", "response.success", "true", "false"]


class Maker:
    """Makes filters; the same seed makes the same ones. `words` and `numbers` occur in the bucket."""

    def __init__(self, seed, words=(), numbers=()):
        self.random = random.Random(seed)
        self.words, self.numbers = WORDS + list(words), NUMBERS + list(numbers)

    def pick(self, of):
        return self.random.choice(of)

    def text2(self):
        return '"' + self.pick(self.words).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    def number2(self, depth=1):
        kind = self.random.random()
        if kind < 0.35 or not depth:
            return str(self.pick(self.numbers))
        if kind < 0.8:
            return self.pick(NUMBERS2)
        if kind < 0.85:
            return f"size({self.pick(TEXTS2)})"
        if kind < 0.88:
            return f"({self.pick(NUMBERS2)} {self.pick('/%')} {self.pick([2, 3, 7, 100, -5])})"
        if kind < 0.9:
            return "int(timestamp)"
        return f"({self.number2(depth - 1)} {self.pick('+-*')} {self.number2(depth - 1)})"

    def term2(self):
        kind = self.random.random()
        sign = self.pick(["==", "!=", "<", "<=", ">", ">="])
        if kind < 0.2:
            return self.pick(TRUTHS2)
        if kind < 0.45:
            return f"{self.pick(NUMBERS2)} {sign} {self.number2()}"
        if kind < 0.5:
            return f"double({self.pick(NUMBERS2)}) {sign} {self.pick([0.5, 199.5, 1e10, -2.25])}"
        if kind < 0.65:
            return f"{self.pick(TEXTS2)} {sign} {self.pick([self.text2(), self.pick(TEXTS2)])}"
        if kind < 0.75:
            return f"{self.pick(TEXTS2)}.{self.pick(['contains', 'startsWith', 'endsWith'])}({self.text2()})"
        if kind < 0.85:
            return f'{self.pick(TEXTS2)}.matches("{self.pick(PATTERNS)}")'
        if kind < 0.9:
            return f"{self.pick(NUMBERS2)} in [{self.pick(self.numbers)}, {self.pick(self.numbers)}]"
        if kind < 0.95:
            return f"{self.pick(TEXTS2)} in [{self.text2()}, {self.text2()}]"
        if kind < 0.97:
            return f"{self.text2()} in {self.pick(['namespaces', 'services', 'pods'])}"
        return f"timestamp {self.pick(['<', '>='])} timestamp(\"2021-03-01T06:00:02.449188Z\")"

    def kfl2(self, depth=3):
        kind = self.random.random()
        if not depth or kind < 0.25:
            return self.term2()
        if kind < 0.4:
            return f"!({self.kfl2(depth - 1)})"
        if kind < 0.47:
            return f"({self.kfl2(depth - 1)} ? {self.kfl2(depth - 1)} : {self.kfl2(depth - 1)})"
        return f"({self.kfl2(depth - 1)} {self.pick(['&&', '||'])} {self.kfl2(depth - 1)})"

    def text1(self):
        word = self.pick(self.words).replace("\n", "")
        return f'"{word}"' if '"' not in word else f"'{word}'" if "'" not in word else '"x"'

    def term1(self):
        kind = self.random.random()
        if kind < 0.2:
            return self.pick(TRUTHS1)
        if kind < 0.3:
            return self.pick(TEXTS1 + NUMBERS1)
        if kind < 0.45:
            return f"{self.pick(NUMBERS1)} {self.pick(['<', '<=', '>', '>='])} {self.pick(self.numbers)}"
        if kind < 0.6:
            return f"{self.pick(TEXTS1 + NUMBERS1)} {self.pick(['==', '!='])} {self.pick([self.text1(), str(self.pick(self.numbers)), 'nil', 'true'])}"
        if kind < 0.7:
            pattern = self.pick(PATTERNS).replace("\\\\", "\\")
            return f'{self.pick(TEXTS1 + NUMBERS1)} {self.pick(["==", "!="])} r"{pattern}"'
        if kind < 0.8:
            return f"{self.pick(TEXTS1)} {self.pick(['==', '!='])} {self.pick(TEXTS1)}"
        if kind < 0.85:
            return f"!{self.pick(TEXTS1 + NUMBERS1 + TRUTHS1)}"
        return f"{self.pick(TEXTS1)}.{self.pick(['contains', 'startsWith', 'endsWith'])}({self.text1()})"

    def kfl1(self, depth=3):
        kind = self.random.random()
        if not depth or kind < 0.25:
            return self.term1()
        if kind < 0.4:
            return f"!({self.kfl1(depth - 1)})"
        parts = [self.kfl1(depth - 1) for _ in range(self.pick([2, 2, 3]))]
        text = parts[0] + "".join(f" {self.pick(['and', 'or'])} {part}" for part in parts[1:])
        return f"({text})" if self.random.random() < 0.7 else text

    def filter(self):
        """A filter, and the spelling it is in."""
        return (self.kfl2(), "kfl2") if self.random.random() < 0.5 else (self.kfl1(), "kfl1")
