// The dashboard: asks the node every other second and shows what it says. Everything that is shown
// is put in as text, so that nothing a peer calls itself can be more than that.

'use strict';

(() => {
  const INTERVAL_MS = 2000;
  const TIMEOUT_MS = 8000;
  const TOKEN_KEY = 'moim-admin-token';

  const $ = (id) => document.getElementById(id);
  const count = new Intl.NumberFormat('en');
  const rate = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

  /** What the counters are called here; others are called by their own names. */
  const NAMES = {
    moim_bootstrap_acme_attempts_total: 'Attempts to get a certificate',
    libp2p_kad_inbound_requests_total: 'DHT requests',
    moim_bootstrap_dht_refused_total: 'Records and providers refused',
    moim_bootstrap_http_requests_total: 'HTTP requests',
    moim_bootstrap_rejected_total: 'Rejected',
    moim_bootstrap_relay_circuits_accepted_total: 'Circuits opened',
    moim_bootstrap_relay_circuits_denied_total: 'Circuits denied',
    moim_bootstrap_relay_reservations_accepted_total: 'Reservations given',
    moim_bootstrap_relay_reservations_denied_total: 'Reservations denied',
    moim_bootstrap_store_write_failures_total: 'Failed attempts to write the store',
    moim_bootstrap_stun_answered_total: 'STUN answers',
    moim_bootstrap_stun_ignored_total: 'STUN datagrams not answered',
    moim_bootstrap_turn_allocations_accepted_total: 'TURN ports given',
    moim_bootstrap_turn_bytes_total: 'TURN bytes carried',
    moim_bootstrap_turn_refused_total: 'TURN refusals',
    process_cpu_seconds_total: 'CPU seconds',
  };

  /** Counters of what was refused, in all or by reason. */
  const REFUSALS = [
    'moim_bootstrap_rejected_total',
    'moim_bootstrap_dht_refused_total',
    'moim_bootstrap_relay_reservations_denied_total',
    'moim_bootstrap_relay_circuits_denied_total',
    'moim_bootstrap_stun_ignored_total',
    'moim_bootstrap_turn_refused_total',
  ];

  const titleOf = (name) =>
    NAMES[name] ?? name.replace(/^moim_bootstrap_/, '').replace(/_total$/, '').replaceAll('_', ' ');

  function bytes(number) {
    return number === undefined ? '–' : `${rate.format(number / 1024 / 1024)} MiB`;
  }

  function duration(seconds) {
    const parts = [
      [Math.floor(seconds / 86400), 'd'],
      [Math.floor(seconds / 3600) % 24, 'h'],
      [Math.floor(seconds / 60) % 60, 'min'],
      [Math.floor(seconds) % 60, 's'],
    ];
    const first = parts.findIndex(([value]) => value > 0);
    const shown = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2);
    return shown.map(([value, unit]) => `${value} ${unit}`).join(' ');
  }

  function setText(element, text) {
    // Left alone where nothing changed, so that what somebody selects stays selected.
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  /** Makes the children of `parent` as many as there are `items`, and shows each in its child. */
  function list(parent, items, make, show) {
    while (parent.children.length > items.length) {
      parent.lastElementChild.remove();
    }
    items.forEach((item, index) => {
      const child = parent.children[index] ?? parent.appendChild(make(item));
      show(child, item);
    });
  }

  /** Rows of cells; a cell is a text, or a text with the class of its cell. */
  function rows(id, items, columns) {
    const make = () => {
      const row = document.createElement('tr');
      for (const { className } of columns) {
        const cell = row.appendChild(document.createElement('td'));
        cell.className = className ?? '';
      }
      return row;
    };
    list($(id), items, make, (row, item) => {
      columns.forEach(({ text }, index) => setText(row.children[index], text(item)));
    });
  }

  /** Terms and what they are, as [key, term, text]. */
  function facts(id, items) {
    const make = ([key]) => {
      const group = document.createElement('div');
      group.dataset.key = key;
      group.append(document.createElement('dt'), document.createElement('dd'));
      return group;
    };
    list($(id), items, make, (group, [, term, text]) => {
      setText(group.children[0], term);
      setText(group.children[1], text);
    });
  }

  /** How it stands with the certificate of the TLS port, whose times are in seconds since 1970. */
  function certificate({ state, ends, trouble, again }) {
    const left = (time) => duration(Math.max(0, time - Date.now() / 1000));
    const words = {
      expired: 'has ended',
      missing: 'none yet: TLS connections are refused',
      ok: ends === null ? 'good' : `good for ${left(ends)}`,
    }[state];
    if (trouble === null) {
      return words;
    }
    const what = state === 'missing' ? 'because' : 'no newer one:';
    return `${words}; ${what} ${trouble}${again === null ? '' : `; tried again in ${left(again)}`}`;
  }

  const number = { className: 'number' };

  function show(report) {
    const { numbers, connections, topics, blocked } = report;
    const of = (name) => numbers[name] ?? 0;
    const own = (name) => of(`moim_bootstrap_${name}`);

    facts('node', [
      ['peer-id', 'Peer id', report.peer_id],
      ['version', 'Version', report.version],
      ['uptime', 'Up for', duration(own('uptime_seconds'))],
      ['memory', 'Memory', bytes(numbers.process_resident_memory_bytes)],
      [
        'files',
        'Open files',
        `${count.format(of('process_open_fds'))} of ${count.format(of('process_max_fds'))}`,
      ],
      ...(report.certificate === null ? [] : [['certificate', 'Certificate', certificate(report.certificate)]]),
    ]);
    facts('now', [
      ['peers', 'Peers', count.format(own('peers'))],
      ['connections', 'Connections', count.format(connections.total)],
      ['topics', 'Topics', count.format(topics.total)],
      ['records', 'DHT records', count.format(own('dht_records'))],
      ['reservations', 'Relay reservations', count.format(own('relay_reservations'))],
      ['circuits', 'Circuits', count.format(own('relay_circuits'))],
      ['turn-ports', 'TURN ports', count.format(own('turn_allocations'))],
    ]);

    const carried = (transport, direction) =>
      own(`connections{transport="${transport}",direction="${direction}"}`);
    const transports = Object.keys(numbers)
      .map((name) => /^moim_bootstrap_connections\{transport="([^"]+)",direction="inbound"\}$/.exec(name)?.[1])
      .filter((name) => name !== undefined && (name !== 'other' || carried(name, 'inbound') > 0));
    rows('transports', transports, [
      { text: (name) => name },
      { ...number, text: (name) => count.format(carried(name, 'inbound')) },
      { ...number, text: (name) => count.format(carried(name, 'outbound')) },
    ]);

    const total = (name) =>
      Object.entries(numbers)
        .filter(([key]) => key === name || key.startsWith(`${name}{`))
        .reduce((sum, [, value]) => sum + value, 0);
    rows('rates', report.rates, [
      { text: ({ name }) => titleOf(name) },
      { ...number, text: ({ minute }) => rate.format(minute) },
      { ...number, text: ({ ten_minutes }) => rate.format(ten_minutes) },
      { ...number, text: ({ name }) => count.format(Math.round(total(name))) },
    ]);

    rows('refusals', refusals(numbers), [
      { text: ({ name }) => titleOf(name) },
      { text: ({ reason }) => reason },
      { ...number, text: ({ value }) => count.format(value) },
    ]);

    setText($('topics-note'), listed(topics, 'the largest'));
    rows('topics', topics.listed, [
      { text: ({ providers }) => count.format(providers) },
      { className: 'id', text: ({ key }) => key },
    ]);

    setText($('blocked-note'), listed(blocked, 'of them'));
    rows('blocked', blocked.listed, [{ className: 'id', text: (entry) => entry }]);

    setText($('peers-note'), listed(connections, 'the newest'));
    rows('peers', connections.listed, [
      { className: 'id', text: ({ peer }) => peer },
      { text: ({ transport, direction }) => `${transport}, ${direction}` },
      { className: 'id', text: ({ address }) => address },
      { ...number, text: ({ seconds }) => duration(seconds) },
      { text: ({ agent }) => agent ?? '–' },
      {
        ...number,
        text: ({ round_trip_ms }) => (round_trip_ms === null ? '–' : `${rate.format(round_trip_ms)} ms`),
      },
      { text: ({ reservation }) => (reservation ? 'yes' : 'no') },
    ]);
  }

  function listed({ total, listed: shown }, which) {
    if (total === 0) {
      return 'None yet.';
    }
    return shown.length < total
      ? `${count.format(total)} in all; ${which} ${count.format(shown.length)} are listed.`
      : `${count.format(total)} in all.`;
  }

  /** What was refused, by reason where there is one; counters without reasons even when zero. */
  function refusals(numbers) {
    return REFUSALS.flatMap((name) => {
      const found = Object.entries(numbers).filter(([key]) => key === name || key.startsWith(`${name}{`));
      return found
        .map(([key, value]) => ({ name, reason: /reason="([^"]*)"/.exec(key)?.[1] ?? '–', value }))
        .filter(({ reason, value }) => value > 0 || reason === '–');
    });
  }

  function state(kind, text) {
    $('state').dataset.state = kind;
    setText($('state'), text);
  }

  function askForToken(wrong) {
    const form = $('login');
    const first = form.hidden;
    $('dashboard').hidden = true;
    form.hidden = false;
    setText($('refused'), wrong ? 'That is not the token of this node.' : '');
    $('token').setAttribute('aria-invalid', String(wrong));
    state('locked', 'The token is needed');
    if (first || wrong) {
      $('token').focus();
    }
  }

  let timer;
  let asking = false;
  let seen;

  async function ask() {
    if (asking) {
      return;
    }
    asking = true;
    clearTimeout(timer);
    if ((await askOnce()) && !document.hidden) {
      timer = setTimeout(ask, INTERVAL_MS);
    }
    asking = false;
  }

  /** Asks and shows the answer; says whether to ask again by itself. */
  async function askOnce() {
    const token = sessionStorage.getItem(TOKEN_KEY);
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    try {
      const answer = await fetch('/admin/status.json', {
        headers,
        cache: 'no-store',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (answer.status === 401) {
        sessionStorage.removeItem(TOKEN_KEY);
        askForToken(token !== null);
        return false;
      }
      if (!answer.ok) {
        throw new Error(`the node answers ${answer.status}`);
      }
      const report = await answer.json();
      show(report);
      $('login').hidden = true;
      $('dashboard').hidden = false;
      seen = Date.now();
      if (report.store_stuck) {
        state('lost', 'The store cannot be written; the log says why');
      } else if (['expired', 'missing'].includes(report.certificate?.state)) {
        state('lost', 'There is no good certificate, see below');
      } else if (report.store_full) {
        state('live', 'The store is full: what comes takes the place of others');
      } else {
        state('live', report.ready ? 'Ready' : 'Starting');
      }
    } catch {
      // Not how long ago: a screen reader would say it again every time.
      const since = seen === undefined ? '' : ` since ${new Date(seen).toLocaleTimeString()}`;
      state('lost', `The node has not answered${since}; asking again`);
    }
    return true;
  }

  $('login').addEventListener('submit', (event) => {
    event.preventDefault();
    const token = $('token').value.trim();
    $('token').value = '';
    // What no header can carry is no token.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      askForToken(true);
      return;
    }
    sessionStorage.setItem(TOKEN_KEY, token);
    void ask();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && $('login').hidden) {
      void ask();
    }
  });
  void ask();
})();
