// Shows how far the program has come over the network. Trunk calls this while it loads the wasm.

export default function initializer() {
  const progress = document.getElementById('loading-progress');
  const tell = (event, detail) => window.dispatchEvent(new CustomEvent(event, { detail }));
  return {
    onProgress({ current, total }) {
      // Without a value it shows that something goes on, but not how far it is.
      if (progress && total > 0) {
        progress.value = Math.min(1, current / total);
      }
    },
    onComplete() {
      progress?.removeAttribute('value');
    },
    onSuccess() {
      tell('moim-started');
    },
    onFailure(reason) {
      tell('moim-not-loaded', reason);
    },
  };
}
