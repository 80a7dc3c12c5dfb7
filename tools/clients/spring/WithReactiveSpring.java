import org.springframework.security.oauth2.jwt.NimbusReactiveJwtDecoder;
import org.springframework.security.oauth2.jwt.ReactiveJwtDecoder;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Schedulers;

/** The decoder of the reactive stack; as on the page, that of the servlet stack on a bounded scheduler. */
final class WithReactiveSpring {
  public static void main(String[] args) throws Exception {
    var decoder = Lines.AS_ON_PAGE ? asOnPage() : atDefaults();
    Lines.serve(token -> decoder.decode(token).block());
  }

  private static ReactiveJwtDecoder atDefaults() {
    var decoder = NimbusReactiveJwtDecoder.withJwkSetUri(Lines.JWKS_URI).build();
    decoder.setJwtValidator(WithSpring.rules());
    return decoder;
  }

  private static ReactiveJwtDecoder asOnPage() throws Exception {
    var servlet = WithSpring.decoder();
    return token -> Mono.fromCallable(() -> servlet.decode(token)).subscribeOn(Schedulers.boundedElastic());
  }
}
