// Runs before anything else and in any browser, so it is written as browsers of 2010 read it:
// chooses the language of the static page and says what is wrong when the program does not come up
// or breaks. The texts are in index.html.

(function () {
  'use strict';

  var root = document.documentElement;
  var started = false;
  var pending = null;

  // As Language::choose in src/i18n.rs.
  var languages = navigator.languages || [navigator.language || 'en'];
  for (var i = 0; i < languages.length; i += 1) {
    var language = String(languages[i]).split('-')[0].toLowerCase();
    if (language === 'en' || language === 'ko') {
      root.setAttribute('lang', language);
      break;
    }
  }
  root.setAttribute('data-scripted', '');

  // `kind` is the id of one of the paragraphs in #failure; `reason` is the browser's or the program's own word, in
  // English mostly, and for those who ask for it.
  function fail(kind, reason) {
    var failure = document.getElementById('failure');
    if (!failure) {
      pending = [kind, reason];
      return;
    }
    if (!failure.hasAttribute('hidden')) {
      return;
    }
    failure.removeAttribute('hidden');
    document.getElementById(kind).removeAttribute('hidden');
    if (reason) {
      document.getElementById('failure-reason').textContent = reason;
      document.getElementById('failure-details').removeAttribute('hidden');
    }
    var app = document.getElementById('app');
    app.setAttribute('inert', '');
    app.setAttribute('aria-hidden', 'true');
    var status = document.querySelector('[data-testid=status]');
    if (status) {
      status.setAttribute('data-state', 'failed');
    }
    document.getElementById('failure-reload').focus();
  }

  function text(reason) {
    return reason && reason.message ? reason.message : reason ? String(reason) : '';
  }

  document.addEventListener('DOMContentLoaded', function () {
    document.getElementById('failure-reload').addEventListener('click', function () {
      location.reload();
    });
    if (pending) {
      fail(pending[0], pending[1]);
    }
  });

  if (!('noModule' in document.createElement('script')) || typeof WebAssembly !== 'object') {
    fail('failure-old');
  }

  // Capturing: a file that does not load tells only its own element.
  window.addEventListener('error', function (event) {
    if (started) {
      return;
    }
    if (event.target && event.target.nodeName === 'SCRIPT') {
      fail('failure-load', event.target.src);
    } else if (event.error && event.error.name === 'SyntaxError') {
      fail('failure-old', event.error.message);
    } else if (event.error) {
      fail('failure-load', event.error.message);
    }
  }, true);

  // A download that breaks off.
  window.addEventListener('unhandledrejection', function (event) {
    if (!started) {
      fail('failure-load', text(event.reason));
    }
  });

  // From initializer.mjs and from src/crash.rs.
  window.addEventListener('moim-started', function () {
    started = true;
  });
  window.addEventListener('moim-not-loaded', function (event) {
    var reason = event.detail;
    fail(reason && reason.name === 'CompileError' ? 'failure-old' : 'failure-load', text(reason));
  });
  window.addEventListener('moim-crashed', function (event) {
    fail('failure-crash', event.detail);
  });
}());
