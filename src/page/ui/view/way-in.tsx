/** What is said to whoever has not shown that the server is theirs. */
export function WayIn({ refusal }: { readonly refusal: string | undefined }) {
  return (
    <main class="way-in">
      <h1>RLM-OpenCode</h1>
      <p>This page shows what your assistants have read, so it opens for you only.</p>
      {refusal !== undefined && (
        <p class="fault" role="alert">
          {refusal}
        </p>
      )}
      <p>On the machine where the server runs, as the user who runs it:</p>
      <pre>
        <code>rlm-opencode open</code>
      </pre>
      <p class="quiet">
        It opens a link that lets this browser in. The link works once, within a minute.
      </p>
    </main>
  );
}
