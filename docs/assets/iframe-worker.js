// A page that is opened from disk may start no Worker, and the search needs one: there, a hidden frame takes its place.
// It runs the worker's script and passes messages both ways, as a Worker would.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.appendChild(frame);
      this.inner = frame.contentWindow;
      addEventListener("message", (event) => {
        if (event.source !== this.inner) return;
        const told = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(told);
        if (this.onmessage) this.onmessage(told);
      });
      const page = this.inner.document;
      page.open();
      page.write("<!doctype html><title>search</title><body></body>");
      page.close();
      this.inner.postMessage = this.inner.postMessage.bind(this.inner);
      const send = this.inner.postMessage;
      // Inside a worker `postMessage` goes to the page that made it.
      this.inner.eval("postMessage = (data) => parent.postMessage(data, '*')");
      const script = page.createElement("script");
      script.src = url;
      script.onload = () => {
        this.send = (data) => send(data, "*");
        for (const data of this.waiting.splice(0)) this.send(data);
      };
      page.body.appendChild(script);
    }
    postMessage(data) {
      if (this.send) this.send(data);
      else this.waiting.push(data);
    }
    terminate() {}
  };
}
