import java.io.BufferedReader;
import java.io.InputStreamReader;

/** The protocol of the client matrix: a token is a line in, the verdict a line out. */
final class Lines {
  static final String ISSUER = System.getenv("ISSUER"), JWKS_URI = System.getenv("JWKS_URI"), AUDIENCE = System.getenv("AUDIENCE");
  static final boolean AS_ON_PAGE = "page".equals(System.getenv("SETTING"));

  interface Verifier {
    void verify(String token) throws Exception;
  }

  static void serve(Verifier verifier) throws Exception {
    var in = new BufferedReader(new InputStreamReader(System.in));
    for (String token; (token = in.readLine()) != null; ) {
      try {
        verifier.verify(token);
        System.out.println("accepted");
      } catch (Exception e) {
        System.out.println("refused " + e.getClass().getSimpleName());
      }
    }
    System.exit(0);
  }
}
