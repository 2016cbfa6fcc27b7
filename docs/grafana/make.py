#!/usr/bin/env python3
"""Makes livestreamd.json, the Grafana dashboard, from the table of rows and panels below.

    ./make.py > livestreamd.json     after a change here
    ./make.py --check                does livestreamd.json say the same? (.ci/run alerts)
    ./make.py --rules                every expression as a recording rule, for promtool check rules

A panel is a title, a width of 24, expressions with legends, a unit, and a description in plain words; where it stands follows. Expressions
pick the daemons and streams of the dashboard's variables by themselves: write M for a metric of the daemon, S for one of a stream.
"""

import json
import pathlib
import re
import sys

JSON = pathlib.Path(__file__).with_name("livestreamd.json")
GREEN, YELLOW, RED, BLUE, LIGHT_BLUE, GREY = "green", "yellow", "red", "blue", "light-blue", "#808080"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# ---- Expressions -----------------------------------------------------------------------------------------------------------------------


def M(metric, **labels):
    """A metric of a daemon."""
    return series(metric, {}, labels)


def S(metric, **labels):
    """A metric of a stream."""
    return series(metric, {"stream": "$stream"}, labels)


def series(metric, chosen, labels):
    pairs = [f'{name}=~"{value}"' for name, value in {"job": "$job", "instance": "$instance", **chosen}.items()]
    pairs += [f'{name}="{value}"' for name, value in labels.items()]
    return f"livestreamd_{metric}{{{', '.join(pairs)}}}"


def rate(metric, by="instance, stream"):
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def count(metric, by="instance, stream"):
    """How many in the time of one point."""
    return f"sum by ({by}) (increase({metric}[$__rate_interval]))"


def top(expr, of, by="instance, stream"):
    """Of `expr` the $top series that are largest by `of` over the whole time shown, so that no legend has 200 lines, and the lines do not
    change from one point to the next."""
    return f"{expr} and on ({by}) topk($top, {of})"


def top_gauge(metric, by="instance, stream"):
    return top(f"max by ({by}) ({metric})", f"max by ({by}) (max_over_time({metric}[$__range] @ end()))", by)


def top_rate(metric, by="instance, stream", how=rate):
    return top(how(metric, by), f"sum by ({by}) (increase({metric}[$__range] @ end())) > 0", by)


def quantile(q, histogram, by="", over="[$__rate_interval]"):
    """Of all streams shown together, or by stream."""
    by = ", ".join(filter(None, ["le", by]))
    return f"histogram_quantile({q}, sum by ({by}) (rate({histogram}{over})))"


def quantiles(histogram):
    return [(quantile(q, histogram), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)]


def top_quantile(q, histogram, by="instance, stream"):
    # A stream without any hit has no quantile, and NaN is not at least 0.
    return top(quantile(q, histogram, by), quantile(q, histogram, by, "[$__range] @ end()") + " >= 0", by)


SLOT = "instance, stream, slot"
STREAMING = S("connection_state", state="streaming")


def connection_code():
    """What a connection does, as a number: see STATES."""
    names = ["waiting", "authorizing", "connecting", "streaming", "stopped"]
    states = [f"{code} * " + S("connection_state", state=name) for code, name in enumerate(names, 1)]
    return f"sum by ({SLOT}) ({' or '.join(states)} or 10 * {S('connection_failing')})"


# What connection_code() comes to. 10 more: it fails, and somebody should look.
STATES = {
    1: ("waiting", YELLOW), 2: ("authorizing", LIGHT_BLUE), 3: ("connecting", BLUE), 4: ("streaming", GREEN), 5: ("stopped", GREY),
    11: ("waiting, failing", RED), 12: ("authorizing, failing", RED), 13: ("connecting, failing", RED),
}
LEAST_STREAMING = f"bottomk($top, avg_over_time({STREAMING}[$__range] @ end()))"


def delivery_code():
    return stream_code("delivery_state", "well", "set_back", "stalled")


def journal_code():
    return stream_code("journal_state", "good", "full", "disk_full", "disk_failing")


def stream_code(metric, *states):
    """Which of the states a stream is in, from 1 on."""
    coded = " or ".join(f"{code} * {S(metric, state=name)}" for code, name in enumerate(states, 1))
    return f"sum by (instance, stream) ({coded})"


OF_STREAM = "{{stream}}"
OF_OUTPUT = "{{stream}} {{output}}"
BY_OUTPUT = "instance, stream, output"
BY_FILTER = "instance, stream, output, filter"
OF_SLOT = "{{stream}} {{slot}}"

# ---- Panels ----------------------------------------------------------------------------------------------------------------------------


def steps(*pairs):
    """(GREEN, 80, YELLOW, 90, RED): green, from 80 on yellow, from 90 on red."""
    found = [{"color": pairs[0], "value": None}]
    found += [{"color": color, "value": value} for value, color in zip(pairs[1::2], pairs[2::2])]
    return {"mode": "absolute", "steps": found}


def panel(kind, title, description, width, targets, unit, options, custom=None, **defaults):
    targets = [{
        "datasource": SOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": kind != "stat", "instant": kind == "stat",
        "refId": chr(ord("A") + nth),
    } for nth, (expr, legend) in enumerate(targets)]
    defaults = {"unit": unit, "color": {"mode": "palette-classic"}, "mappings": [], "thresholds": steps(GREEN), **defaults}
    if custom is not None:
        defaults["custom"] = custom
    return {
        "type": kind, "title": title, "description": description, "datasource": SOURCE, "width": width, "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
    }


def stat(title, description, expr, unit="short", thresholds=None, mappings=(), width=4):
    options = {
        "colorMode": "background" if thresholds or mappings else "none", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto", "wideLayout": True,
    }
    return panel("stat", title, description, width, [(expr, "")], unit, options, mappings=list(mappings),
                 thresholds=thresholds or steps(GREEN), color={"mode": "thresholds"})


def lines(title, description, *targets, unit="short", thresholds=None, stack=False, width=12, calcs=("lastNotNull", "max")):
    custom = {
        "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 30 if stack else 5, "showPoints": "auto",
        "spanNulls": False, "stacking": {"mode": "normal" if stack else "none", "group": "A"}, "axisPlacement": "auto",
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    options = {
        "legend": {"showLegend": True, "displayMode": "table", "placement": "right", "calcs": list(calcs), "sortBy": "Max", "sortDesc": True,
                   "width": 240},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, width, targets, unit, options, custom, thresholds=thresholds or steps(GREEN), min=0)


def timeline(title, description, expr, legend, states, width=24):
    mapping = {"type": "value", "options": {
        str(code): {"text": text, "color": color, "index": index} for index, (code, (text, color)) in enumerate(states.items())
    }}
    options = {
        "mergeValues": True, "showValue": "never", "alignValue": "left", "rowHeight": 0.85,
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, description, width, [(expr, legend)], "short", options, {"fillOpacity": 80, "lineWidth": 0},
                 mappings=[mapping], color={"mode": "thresholds"})


def yes_or_no(yes, no):
    """1 and 0 in words: each (text, color)."""
    return [{"type": "value", "options": {
        "1": {"text": yes[0], "color": yes[1], "index": 0}, "0": {"text": no[0], "color": no[1], "index": 1},
    }}]


# ---- The dashboard -----------------------------------------------------------------------------------------------------------------------

ROWS = [
    ("Overview", [
        stat("Ready", "Whether every daemon shown works: all streams stream or are in an ordinary cooldown, journals take batches, Kafka takes "
             "records.", f"min({M('ready')})", mappings=yes_or_no(("ready", GREEN), ("not ready", RED))),
        stat("Hindrances", "How many things keep the daemons from being ready. Their status names each, and says what to do: livestreamd status.",
             f"sum({M('hindrances')})", thresholds=steps(GREEN, 1, RED)),
        stat("Connections streaming", "The part of all connections that stream just now. In a cooldown of a minute one is missing, and that is "
             "normal.", f"avg({STREAMING})", "percentunit", steps(RED, 0.8, YELLOW, 1, GREEN)),
        stat("Hits a second", "Hits on their way to Kafka, of all streams shown.", f"sum(rate({S('hits_total')}[$__rate_interval]))", "cps"),
        stat("Backlog", "What is read and not yet delivered, of all streams shown. It waits on disk.", f"sum({S('journal_backlog_bytes')})",
             "bytes"),
        stat("Oldest record", "How long the oldest record that is not delivered has waited.",
             f"max({S('journal_oldest_record_age_seconds')})", "s", steps(GREEN, 60, YELLOW, 600, RED)),
        timeline("The connections that streamed least", "What the connections did that streamed for the least part of the time shown. "
                 "A yellow minute now and then is an ordinary cooldown; red wants somebody to look.",
                 f"{connection_code()} and on ({SLOT}) {LEAST_STREAMING}", OF_SLOT, STATES),
        lines("Connections by state", "How many connections wait, fetch a token, connect and stream.",
              (f"sum by (state) ({S('connection_state')})", "{{state}}"), stack=True),
        lines("Hindrances by kind", "What keeps the daemons from being ready: the connection to Adobe, the journal, Kafka, or a stop.",
              (f"sum by (kind) ({M('hindrances')})", "{{kind}}"), stack=True),
        lines("Hits a second, all streams", "Records that are read, and hits on their way to Kafka. While Kafka is away there are none of these, although they are read.",
              (f"sum(rate({S('stream_records_total')}[$__rate_interval]))", "read"),
              (f"sum(rate({S('hits_total')}[$__rate_interval]))", "on their way to Kafka"), unit="cps"),
        lines("Hits a second, busiest streams", "The same for the streams with the most hits in the time shown.",
              (top_rate(S("hits_total")), OF_STREAM), unit="cps"),
        lines("Backlog, largest", "What is read and not yet delivered, of the streams with the most of it.",
              (top_gauge(S("journal_backlog_bytes")), OF_STREAM), unit="bytes"),
        lines("Upstream lag, median", "How old half of the hits are when they are read from Adobe, for the streams where that is most.",
              (top_quantile(0.5, S("upstream_lag_seconds_bucket")), OF_STREAM), unit="s"),
    ]),
    ("Upstream", [
        timeline("Connections, one by one", "What each connection of the streams chosen above did. Choose some: with all of 200 it is a wall.",
                 connection_code(), OF_SLOT, STATES),
        lines("Cooldown remaining", "How long each connection that waits still waits. 60 s after a disconnect, up to 180 s after several refusals, 10 "
              "minutes where a person must mend something.", (top_gauge(S("cooldown_remaining_seconds"), SLOT), OF_SLOT), unit="s"),
        lines("Time since the last byte", "How long the connections were silent. A quiet report suite is silent and healthy; what is silent for "
              "much longer than it is used to is connected anew.", (top_gauge(S("last_byte_age_seconds"), SLOT), OF_SLOT), unit="s"),
        lines("Connects by outcome", "How attempts to connect ended: streaming, or the name of the answer. livestreamd explain NAME says what it "
              "means.", (count(S("connects_total"), "outcome"), "{{outcome}}"), stack=True, calcs=("sum", "max")),
        lines("Disconnects by reason", "Why open streams ended. livestreamd explain NAME says what it means.",
              (count(S("disconnects_total"), "reason"), "{{reason}}"), stack=True, calcs=("sum", "max")),
        lines("Gaps", "Times without connection that ended: possible ones were short enough for the service to go on where it was, of probable ones "
              "hits are probably lost.", (count(S("gaps_total"), "kind"), "{{kind}}"), stack=True, calcs=("sum", "max"), width=8),
        lines("Open gaps, longest", "For how long connections have been missing that are missing now. Beyond the dashed line (backfill_horizon) hits "
              "are probably being lost.", (top_gauge(S("gap_seconds"), SLOT), OF_SLOT), unit="s", thresholds=steps(GREEN, 180, RED), width=8),
        lines("Probably lost time", "Seconds of probable gaps, by stream, as they were counted.",
              (top_rate(S("probable_gap_seconds_total"), how=count), OF_STREAM), unit="s", calcs=("sum", "max"), width=8),
        lines("Upstream lag", "How old hits are when they are read, over all streams shown. Adobe needs 20 s to 5 min as a rule, up to 15 min for suites "
              "with Analytics for Target.", *quantiles(S("upstream_lag_seconds_bucket")), unit="s"),
        lines("Read from Adobe", "Bytes of records a second, uncompressed, of the streams with the most.",
              (top_rate(S("stream_bytes_total")), OF_STREAM), unit="Bps"),
        lines("Redirects refused", "Redirects that were not followed, because they led to a host that is not trusted, or nowhere.",
              (top_rate(S("redirects_refused_total"), how=count), OF_STREAM), calcs=("sum", "max")),
        lines("Batches", "Drains of the sockets that were appended to journals, a second.",
              (top_rate(S("stream_batches_total")), OF_STREAM), unit="cps"),
    ]),
    ("Journal", [
        timeline("Journals by state", "Whether the journals take batches. While one does not, its stream is not read. Good is green.",
                 top(journal_code(), f"max by (instance, stream) (max_over_time(({journal_code()})[$__range:1m] @ end()))"), OF_STREAM,
                 {1: ("good", GREEN), 2: ("full", RED), 3: ("disk full", RED), 4: ("disk failing", RED)}),
        lines("Backlog in bytes", "What is read and not yet delivered.", (top_gauge(S("journal_backlog_bytes")), OF_STREAM), unit="bytes", width=8),
        lines("Backlog in records", "About how many records that is.", (top_gauge(S("journal_backlog_records")), OF_STREAM), width=8),
        lines("Oldest record", "How long the oldest record that is not delivered has waited.",
              (top_gauge(S("journal_oldest_record_age_seconds")), OF_STREAM), unit="s", thresholds=steps(GREEN, 600, RED), width=8),
        lines("How full, by stream", "The backlog as a part of journal.max_bytes. At 100 % reading stops.",
              (top(f"{S('journal_backlog_bytes')} / {S('journal_max_bytes')}",
                   f"max by (instance, stream) (max_over_time({S('journal_backlog_bytes')}[$__range] @ end()))"), OF_STREAM),
              unit="percentunit", thresholds=steps(GREEN, 0.7, RED), width=8),
        lines("All journals on disk", "What all journals take up, and what they may (journal.max_bytes_in_all).",
              (M("journals_held_bytes"), "held, {{instance}}"), (M("journals_max_bytes"), "at most, {{instance}}"), unit="bytes", width=8),
        lines("Journals on disk, largest", "What single journals take up, delivered records included until their segment goes.",
              (top_gauge(S("journal_held_bytes")), OF_STREAM), unit="bytes", width=8),
        lines("Sync time", "How long the disk takes to make a round of batches durable.",
              *quantiles(M("journal_sync_seconds_bucket")), unit="s", width=8),
        lines("Sync lag", "For how long something has been waiting to become durable: what a power failure would cost. About journal.sync_interval is "
              "normal.", (top_gauge(S("journal_sync_lag_seconds")), OF_STREAM), unit="s", thresholds=steps(GREEN, 10, RED), width=8),
        lines("Faults", "What was found wrong on disk. A cut is what a crash leaves; anything else has a section in the runbook.",
              (f"topk($top, sum by (stream, kind) ({S('journal_faults_total')}) > 0)", "{{stream}} {{kind}}"),
              (f"topk($top, {S('journal_unreadable')} > 0)", "{{stream}} cannot be read"), width=8),
    ]),
    ("Kafka", [
        timeline("Delivery by state", "How Kafka takes the records of each stream. Yellow: it refused some, and they are produced again; red: records wait and no "
                 "delivery report comes.",
                 top(delivery_code(), f"max by (instance, stream) (avg_over_time(({delivery_code()})[$__range:1m] @ end()))"), OF_STREAM,
                 {1: ("well", GREEN), 2: ("set back", YELLOW), 3: ("stalled", RED)}),
        lines("Delivered a second", "Records that Kafka has, dead letters included, for the streams with the most.",
              (top_rate(S("delivered_records_total")), OF_STREAM), unit="cps"),
        lines("Delivery latency", "From reading a record to Kafka's acknowledgement, over all streams shown. Below a second when all is well; what "
              "waited in the journal counts with all its waiting.",
              *quantiles(S("delivery_latency_seconds_bucket")), unit="s"),
        lines("Delivery latency p95, slowest streams", "One record in twenty takes longer than this.",
              (top_quantile(0.95, S("delivery_latency_seconds_bucket")), OF_STREAM), unit="s",
              thresholds=steps(GREEN, 10, RED)),
        lines("Time since the last delivery", "High is normal for a quiet stream, and trouble where there is a backlog.",
              (top_gauge(S("last_delivery_age_seconds")), OF_STREAM), unit="s"),
        lines("Failures and rewinds", "Records that Kafka refused, and times that a stream went back to produce again.",
              (count(S("delivery_failures_total"), "job"), "failures"), (count(S("rewinds_total"), "job"), "rewinds"),
              (count(S("reproduced_records_total"), "job"), "produced again"), calcs=("sum", "max"), width=8),
        lines("Rewinds by stream", "Times that a stream went back to its cursor. Each may leave some hits in their topic twice.",
              (top_rate(S("rewinds_total"), how=count), OF_STREAM), calcs=("sum", "max"), width=8),
        lines("Producers built anew", "A producer that failed for good, or brought no report for a minute, is replaced. None is normal.",
              (count(M("kafka_producer_rebuilds_total"), "instance"), "rebuilds, {{instance}}"), (M("kafka_producers"), "in use, {{instance}}"),
              width=8),
        lines("Brokers", "Brokers that are connected to, and those that are known of. Fewer up than known is normal where no partition needs them.",
              (M("kafka_brokers_up"), "up, {{instance}}"), (M("kafka_brokers_known"), "known, {{instance}}"), width=8),
        lines("Round trip", "The mean round trip to the slowest broker that is connected.", (M("kafka_round_trip_seconds"), "{{instance}}"), unit="s",
              width=8),
        lines("Errors of brokers", "Requests that failed, and connections that were lost or could not be made. librdkafka tries both again by itself.",
              (count(M("kafka_request_errors_total"), "instance"), "requests, {{instance}}"),
              (count(M("kafka_connection_errors_total"), "instance"), "connections, {{instance}}"), calcs=("sum", "max"), width=8),
        lines("Queue in records", "Records in librdkafka's queues: on their way, or waiting for a broker.",
              (M("kafka_queue_records"), "{{instance}}")),
        lines("Queue in bytes", "The same in bytes.", (M("kafka_queue_bytes"), "{{instance}}"), unit="bytes"),
    ]),
    ("Shapes and outputs", [
        lines("Held back by filters", "Hits that filters of shapes have held back, by the filter's name.",
              (top(rate(S("output_filtered_hits_total"), BY_FILTER),
                   f"sum by ({BY_FILTER}) (increase({S('output_filtered_hits_total')}[$__range] @ end())) > 0", BY_FILTER),
               "{{stream}} {{output}}, {{filter}}"), unit="cps", width=8),
        lines("Incomplete hits", "Hits without a field that shape.required names.",
              (top_rate(S("output_incomplete_hits_total"), BY_OUTPUT), OF_OUTPUT), unit="cps", width=8),
        lines("Delivered a second, by output", "Records that Kafka has acknowledged, dead letters included.",
              (top_rate(S("output_delivered_records_total"), BY_OUTPUT), OF_OUTPUT), unit="cps", width=8),
        lines("Backlog by output", "What was read and is not delivered to the output yet.",
              (top_gauge(S("output_backlog_bytes"), BY_OUTPUT), OF_OUTPUT), unit="bytes", width=8),
        lines("Delivery latency p95, slowest outputs", "From reading a record until Kafka has acknowledged it for the output.",
              (top_quantile(0.95, S("output_delivery_latency_seconds_bucket"), BY_OUTPUT), OF_OUTPUT), unit="s", width=8),
        lines("Time since the last delivery, by output", "A quiet stream, or one whose hits are held back, may have none for long.",
              (top_gauge(S("output_last_delivery_age_seconds"), BY_OUTPUT), OF_OUTPUT), unit="s", width=8),
        lines("Outputs in trouble", "1 while Kafka has refused an output's records (set back), or brings no delivery report (stalled).",
              (f"{S('output_delivery_state', state='set_back')} > 0", OF_OUTPUT + ", set back"),
              (f"{S('output_delivery_state', state='stalled')} > 0", OF_OUTPUT + ", stalled"), width=8),
        lines("Failures and rewinds by output", "How often Kafka did not take a record, and an output went back to its cursor.",
              (count(S("output_delivery_failures_total"), "stream, output"), "{{stream}} {{output}}, failures"),
              (count(S("output_rewinds_total"), "stream, output"), "{{stream}} {{output}}, rewinds"), calcs=("sum", "max"), width=8),
        lines("Repeats by output", "Hits of which a copy stood before them, as each output has met them.",
              (top_rate(S("output_duplicates_total"), BY_OUTPUT, how=count), OF_OUTPUT), calcs=("sum", "max"), width=8),
        lines("Dead letters by output", "What went to an output's dead-letter topic. Of what is no hit there is one, of the output default; what is too large is so for each.",
              (count(S("output_dead_letters_total"), "stream, output, reason"), "{{stream}} {{output}}, {{reason}}"), calcs=("sum", "max"), width=8),
        lines("Quarantine by output", "Records that were kept because Kafka does not take them whole as the output would have them, and that could not be kept.",
              (count(S("output_quarantined_records_total"), "stream, output"), "{{stream}} {{output}}, kept"),
              (count(S("output_quarantine_failures_total"), "stream, output"), "{{stream}} {{output}}, not kept"), calcs=("sum", "max"), width=8),
    ]),
    ("Data quality", [
        lines("Repeats left out", "The part of all hits that stood before in their stream, ids and bytes. Some after each reconnect are normal.",
              (top(f"{rate(S('duplicates_total'))} / ({rate(S('hits_total'))} > 0)",
                   f"sum by (instance, stream) (increase({S('duplicates_total')}[$__range] @ end())) > 0"), OF_STREAM), unit="percentunit", width=8),
        lines("Twins", "Hits with the ids of another one and other bytes. They are forwarded.",
              (top_rate(S("twins_total"), how=count), OF_STREAM), calcs=("sum", "max"), width=8),
        lines("Ids forgotten early", "Times that dedup.max_ids was too small for dedup.window.",
              (top_rate(S("dedup_window_shortened_total"), how=count), OF_STREAM), calcs=("sum", "max"), width=8),
        lines("Dead letters by reason", "Records that went to the dead-letter topic: no hits, or too large.",
              (count(S("dead_letters_total"), "reason"), "{{reason}}"), stack=True, calcs=("sum", "max"), width=8),
        lines("Cut and empty records", "Records that a disconnect cut off are left out. Empty ones are the service's sign of life.",
              (count(S("cut_records_total"), "job"), "cut"), (count(S("empty_records_total"), "job"), "empty"), calcs=("sum", "max"), width=8),
        lines("Hits without ids", "Hits without a usable hit id are never taken for repeats; those without a visitor id have no key.",
              (rate(S("hits_without_id_total"), "job"), "without hit id"), (rate(S("hits_without_visitor_total"), "job"), "without visitor id"),
              unit="cps", width=8),
        lines("Quarantine", "What is kept on disk for a person to look at, and how much may be.",
              (M("quarantine_bytes"), "bytes, {{instance}}"), (M("quarantine_max_bytes"), "at most, {{instance}}"), unit="bytes", width=8),
        lines("Quarantine, records", "Records that were kept because Kafka does not take them whole, that could not be kept, and that are there alone; "
              "and files that were removed for want of room or for their age.",
              (count(S("quarantined_records_total"), "job"), "kept"), (count(S("quarantine_failures_total"), "job"), "not kept"),
              (count(S("undescribed_records_total"), "job"), "there alone"),
              (count(M("quarantine_removed_files_total"), "job"), "files removed"), calcs=("sum", "max"), width=8),
        lines("Quarantine, files", "How many files there are.", (M("quarantine_files"), "{{instance}}"), width=4, calcs=("lastNotNull",)),
        stat("Oldest file", "At 30 days (quarantine.max_age) it is removed.", f"max({M('quarantine_oldest_age_seconds')})", "s",
             steps(GREEN, 20 * 86400, YELLOW, 25 * 86400, RED)),
    ]),
    ("Tokens and configuration", [
        lines("Token age", "How old the access tokens are. One is fetched when a connect needs it, so an old one under an open connection is normal.",
              (M("token_age_seconds"), "{{credential}}, {{instance}}"), unit="s", width=8),
        lines("Token expires in", "For how long the tokens are still good. Zero is normal while nobody needs to connect.",
              (M("token_expires_seconds"), "{{credential}}, {{instance}}"), unit="s", width=8),
        lines("Token fetches", "How often tokens were fetched, and could not be.",
              (count(M("token_fetches_total"), "credential"), "{{credential}}"), (count(M("token_failures_total"), "credential"), "{{credential}} failed"),
              calcs=("sum", "max"), width=8),
        stat("Last reload", "Whether the configuration could be used when it was last reloaded. Empty if it never was.",
             f"min({M('config_last_reload_ok')})", mappings=yes_or_no(("good", GREEN), ("failed", RED))),
        stat("Reloaded", "When that was.", f"max({M('config_last_reload_timestamp_seconds')}) * 1000", "dateTimeFromNow"),
        stat("Up for", "How long the daemon that started last has been running.", f"time() - max({M('start_time_seconds')})", "s"),
        stat("Stopping", "How many daemons were told to stop and deliver what they have read.", f"sum({M('stopping')})"),
        lines("Versions", "Which versions run.", (f"count by (version) ({M('build_info')})", "{{version}}"), width=8, calcs=("lastNotNull",)),
    ]),
]


def variable(name, label, query, description, multi=True):
    return {
        "type": "query", "name": name, "label": label, "description": description, "datasource": SOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": multi, "includeAll": True,
        # Not the list of all: 200 names do not fit into a query.
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "hide": 0, "options": [], "regex": "",
        "skipUrlSync": False,
    }


def variables():
    tops = ["5", "10", "20", "50"]
    return [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "description": "A Prometheus that scrapes livestreamd",
         "refresh": 1, "multi": False, "includeAll": False, "current": {}, "hide": 0, "options": [], "regex": "", "skipUrlSync": False},
        variable("job", "Job", "label_values(livestreamd_build_info, job)", "What Prometheus calls the scrape"),
        variable("instance", "Daemon", 'label_values(livestreamd_build_info{job=~"$job"}, instance)', "Which daemons"),
        variable("stream", "Stream", 'label_values(livestreamd_hits_total{job=~"$job", instance=~"$instance"}, stream)', "Which streams"),
        {"type": "custom", "name": "top", "label": "Lines", "description": "How many streams a panel shows at most: those that matter most to it",
         "query": ",".join(tops), "multi": False, "includeAll": False, "current": {"selected": True, "text": "10", "value": "10"}, "hide": 0,
         "options": [{"text": n, "value": n, "selected": n == "10"} for n in tops], "skipUrlSync": False},
    ]


def annotation(name, expr, color, text):
    return {"name": name, "datasource": SOURCE, "enable": True, "hide": False, "iconColor": color, "expr": expr, "titleFormat": name,
            "textFormat": text, "tagKeys": "instance,stream", "step": "60s", "useValueForTime": False}


def placed():
    """The panels with their places: each row from the left, in lines of 24."""
    height = {"stat": 4, "timeseries": 8, "state-timeline": 8}
    found, y = [], 0
    for title, panels in ROWS:
        found.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        x, tallest, y = 0, 0, y + 1
        for one in panels:
            one = dict(one)
            width = one.pop("width")
            if x + width > 24:
                x, y, tallest = 0, y + tallest, 0
            found.append({**one, "gridPos": {"x": x, "y": y, "w": width, "h": height[one["type"]]}})
            x, tallest = x + width, max(tallest, height[one["type"]])
        y += tallest
    return [{"id": number, **one} for number, one in enumerate(found, 1)]


def dashboard():
    return {
        "title": "livestreamd", "uid": "livestreamd", "description": "livestreamd: from Adobe Analytics Live Stream into Apache Kafka. Made by make.py.",
        "tags": ["livestreamd", "kafka", "adobe-analytics"], "timezone": "browser", "editable": True, "graphTooltip": 1, "schemaVersion": 39, "version": 1,
        "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "",
        "links": [], "templating": {"list": variables()},
        "annotations": {"list": [
            annotation("Start", f"changes({M('start_time_seconds')}[2m]) > 0", BLUE, "{{instance}} was started"),
            annotation("Probable loss", f"increase({S('gaps_total', kind='probable')}[2m]) > 0", RED, "{{stream}} was away for too long"),
        ]},
        "panels": placed(),
    }


def rules():
    """As YAML, which JSON is. Variables become what promtool can read."""
    stands_for = {"$__rate_interval": "5m", "$__range": "6h", "$top": "10"}
    exprs = [target["expr"] for one in placed() for target in one.get("targets", [])]
    exprs += [one["expr"] for one in dashboard()["annotations"]["list"]]
    found = []
    for number, expr in enumerate(exprs):
        for name, value in stands_for.items():
            expr = expr.replace(name, value)
        found.append({"record": f"panel:{number}", "expr": re.sub(r'=~"\$\w+"', '=~".*"', expr)})
    return {"groups": [{"name": "livestreamd.json", "rules": found}]}


def main():
    if sys.argv[1:] == ["--rules"]:
        print(json.dumps(rules(), indent=1))
        return
    made = json.dumps(dashboard(), indent=2) + "\n"
    if sys.argv[1:] == ["--check"]:
        if JSON.read_text() != made:
            sys.exit(f"{JSON} is not what make.py makes: run make.py > livestreamd.json")
    else:
        sys.stdout.write(made)


if __name__ == "__main__":
    main()
