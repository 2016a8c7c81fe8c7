"""A real Kafka broker as a child process: one KRaft node that is broker and controller."""

import base64
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from infra.local.process import Service, tail
from infra.local.topics import check_kafka
from shared.config import KafkaConfig
from shared.errors import UnavailableError
from shared.jars import kafka_jars
from shared.java import find_java

FORMAT_LIMIT_S = 60.0

# Retention is off: the log holds history whose timestamps may be decades old, and replay reads it from the start. After
# a kill -9 the controller lets the broker back in only when its session has timed out, so that time is short; and so may
# that of a consumer be, for the tests in which one is silent for longer.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.partitions={partitions}
log.retention.ms=-1
offsets.retention.minutes=525600
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""

LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


def new_cluster_id() -> str:
    """A random id as Kafka writes them: 22 characters of base64. One that begins with a dash would be read as an option."""
    while True:
        drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


class KafkaBroker(Service):
    """Kafka on 127.0.0.1, its log under `folder`."""

    def __init__(self, folder: Path, log_path: Path, port: int, controller_port: int, partitions: int) -> None:
        super().__init__("Kafka", log_path, start_limit_s=90.0, stop_limit_s=30.0)
        self.folder = folder
        self.port = port
        self.controller_port = controller_port
        self.partitions = partitions

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
        self._write_properties(self._data)
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> Sequence[str]:
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def check(self, limit_s: float) -> None:
        try:  # an answer at the port first: it is cheap, and a metadata call to a closed one waits for its whole limit
            socket.create_connection(("127.0.0.1", self.port), timeout=limit_s).close()
        except OSError as error:
            raise UnavailableError(f"Kafka at {self.bootstrap_servers} does not answer: {error}") from None
        check_kafka(KafkaConfig(bootstrap_servers=self.bootstrap_servers, timeout_s=limit_s))

    def _java(self) -> list[str]:
        return [
            str(find_java()),
            *("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"),
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            *("-cp", os.pathsep.join(str(jar) for jar in kafka_jars())),
        ]

    def _format(self) -> None:
        """Format the storage beside its place, then move it there, so that half a format is never taken for one."""
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)
        self._write_properties(fresh)
        tool = [*self._java(), "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(self._properties)]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            try:
                code = subprocess.run(tool, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=FORMAT_LIMIT_S).returncode
            except subprocess.TimeoutExpired:
                raise UnavailableError(f"{fresh}: not formatted for Kafka within {FORMAT_LIMIT_S:.0f} s") from None
        if code != 0:
            raise UnavailableError(f"{fresh}: cannot be formatted for Kafka: {' '.join(tail(self.log_path, 1))}")
        fresh.rename(self._data)
        self._write_properties(self._data)

    def _write_properties(self, data: Path) -> None:
        self._properties.write_text(
            PROPERTIES.format(port=self.port, controller_port=self.controller_port, partitions=self.partitions, data=data),
            encoding="utf-8",
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"
